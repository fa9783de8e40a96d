// One function a table; the tables of a subject share a file, keys_SUBJECT.cpp.
#pragma once

#include "config/keys.h"

namespace trireme {

inline constexpr double largest_count = 1 << 24;  // far above any sensible width, far below an overflow

KeyTable run_table(RunConfig& c);
KeyTable data_table(DataConfig& c);
KeyTable transform_table(TransformConfig& c);
KeyTable model_table(ModelConfig& c);
KeyTable train_table(TrainConfig& c);
// `name`: "optimizer" or "optimizer.discriminator".
KeyTable optimizer_table(OptimizerConfig& c, std::string_view name, std::string_view doc);
KeyTable schedule_table(ScheduleConfig& c);
KeyTable parallel_table(ParallelConfig& c);
KeyTable allreduce_table(AllReduceConfig& c);
KeyTable parameter_server_table(ParameterServerConfig& c);
KeyTable checkpoint_table(CheckpointConfig& c);
KeyTable comm_table(CommConfig& c);
struct PrepareConfig;
struct PrepareDatasetConfig;
KeyTable prepare_table(PrepareConfig& c);
KeyTable prepare_dataset_table(PrepareDatasetConfig& c);
struct SweepConfig;
struct ObjectiveConfig;
// All tables of a sweep's file but the objectives, [sweep.set] and [space].
std::vector<KeyTable> tables_of(SweepConfig& c);
// One [objective]. `at`: of all of them.
KeyTable objective_table(ObjectiveConfig& c, std::string& at);

}  // namespace trireme
