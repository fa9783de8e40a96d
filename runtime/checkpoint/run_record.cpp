#include "checkpoint/run_record.h"

#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "checkpoint/json_number.h"

namespace trireme {
namespace {

constexpr const char* number_names = "number_names";
constexpr const char* number_values = "number_values";

std::map<std::string, double> read_numbers(const h5::Handle& group) {
  std::map<std::string, double> numbers;
  if (!h5::has_attribute(group, number_names)) return numbers;
  std::vector<std::string> names = h5::read_strings_attribute(group, number_names);
  std::vector<double> values = h5::read_double_attribute(group, number_values);
  if (names.size() != values.size()) {
    throw DataError("attributes '{}' and '{}' of {} are of different length", number_names, number_values,
                    run_group);
  }
  for (size_t i = 0; i < names.size(); ++i) numbers[names[i]] = values[i];
  return numbers;
}

CheckpointRun read_first_version(const h5::Handle& group) {
  auto number = [&](const char* name) { return h5::read_int_attribute(group, name); };
  auto real = [&](const char* name) {
    std::vector<double> values = h5::read_double_attribute(group, name);
    if (values.size() != 1) throw DataError("attribute '{}' of {} must be one number", name, run_group);
    return values.front();
  };
  auto optional = [&](const char* name) -> std::optional<double> {
    if (!h5::has_attribute(group, name)) return std::nullopt;
    return real(name);
  };
  CheckpointRun run;
  run.step = number("step");
  run.epoch = number("epoch");
  run.samples = number("samples");
  run.seed = std::bit_cast<uint64_t>(number("seed"));
  run.world_size = static_cast<int>(number("world_size"));
  run.config = h5::read_string_attribute(group, "config");
  run.version = h5::read_string_attribute(group, "version");
  run.dataset_identity = h5::read_string_attribute(group, "dataset_identity");
  run.train_seconds = real("train_seconds");
  if (h5::has_attribute(group, "validation_step")) {
    run.validation = CheckpointValidation{number("validation_step"),
                                          number("validation_epoch"),
                                          real("validation_loss"),
                                          optional("validation_accuracy"),
                                          optional("validation_perplexity"),
                                          optional("validation_generator_loss"),
                                          optional("validation_discriminator_loss")};
  }
  run.numbers = read_numbers(group);
  return run;
}

CheckpointRun read_record(const h5::Handle& file, const h5::Handle& group) {
  CheckpointRun run;
  run.seed = std::bit_cast<uint64_t>(h5::read_int_attribute(group, "seed"));
  run.config = h5::read_string_attribute(group, "config");
  run.version = h5::read_string_attribute(group, "version");
  run.dataset_identity = h5::read_string_attribute(group, "dataset_identity");
  auto record = nlohmann::json::parse(h5::read_text(h5::open_dataset(file, record_dataset)));
  run.step = record.at("step").get<int64_t>();
  run.epoch = record.at("epoch").get<int64_t>();
  run.samples = record.at("samples").get<int64_t>();
  run.world_size = record.at("world_size").get<int>();
  run.train_seconds = number_of_json(record.at("train_seconds"));
  if (record.contains("validation")) run.validation = validation_of_json(record.at("validation"));
  for (const auto& [name, value] : record.at("numbers").items()) run.numbers[name] = number_of_json(value);
  return run;
}

}  // namespace

void write_run_constants(const h5::Handle& file, const CheckpointRun& run) {
  h5::Handle group = h5::create_group(file, run_group);
  h5::write_attribute(group, "seed", std::bit_cast<int64_t>(run.seed));
  h5::write_attribute(group, "config", run.config);
  h5::write_attribute(group, "version", run.version);
  h5::write_attribute(group, "dataset_identity", run.dataset_identity);
}

std::string run_record(const CheckpointRun& run) {
  nlohmann::ordered_json record = {{"step", run.step},
                                   {"epoch", run.epoch},
                                   {"samples", run.samples},
                                   {"world_size", run.world_size},
                                   {"train_seconds", number_json(run.train_seconds)}};
  if (run.validation) {
    record["validation"] = validation_json(*run.validation);
  }
  nlohmann::ordered_json numbers = nlohmann::ordered_json::object();
  for (const auto& [name, value] : run.numbers) numbers[name] = number_json(value);
  record["numbers"] = numbers;
  return record.dump();
}

CheckpointRun read_run(const h5::Handle& file) {
  h5::Handle group = h5::open_group(file, run_group);
  if (!h5::exists(file, record_dataset)) return read_first_version(group);
  try {
    return read_record(file, group);
  } catch (const nlohmann::json::exception& error) {
    throw DataError("{} is not the record of a run: {}", record_dataset, error.what());
  }
}

}  // namespace trireme
