// Profiles: figures of hand-made events, the trace file, and whole profiles on thread ranks, whose sums are
// the step's time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "graph/op.h"
#include "support/toy_text.h"
#include "train/profile/figures.h"
#include "train/profile/report.h"
#include "train/profile/run.h"
#include "train/profile/trace.h"
#include "train/session.h"
#include "train/step_loop.h"
#include "training_fixture.h"

namespace trireme::test {
namespace {

using std::chrono::microseconds;
using testing::HasSubstr;
using Time = StepTimeline::Clock::time_point;

const char* const gpt = "kind = \"gpt\"\nwidth = 16\nheads = 2\ndepth = 2\n";

// One linear layer and its loss, with gradients: x [4, 8], 3 classes.
Program small_program() {
  Graph graph;
  ValueId x = graph.add_input("x", {DType::float32, {4, 8}});
  ValueId labels = graph.add_input("labels", {DType::int32, {4}});
  ValueId weight = graph.add_parameter("weight", {8, 3}, {});
  GraphWriter writer(graph, "output");
  ValueId logits = writer.add_one("linear", {x, weight});
  ValueId loss = writer.add("softmax_cross_entropy", {logits, labels}).front();
  graph.results.push_back(loss);
  return compile_training(std::move(graph));
}

int32_t node_of(const Program& program, const std::string& op) {
  const auto& nodes = program.graph.nodes;
  auto found = std::find_if(nodes.begin(), nodes.end(), [&](const Node& node) { return node.op == op; });
  EXPECT_NE(found, nodes.end()) << op;
  return static_cast<int32_t>(found - nodes.begin());
}

// Two steps of 100 and 60 us: data, a forward kernel, a backward kernel, exchange, update, other.
StepRecording two_steps(const Program& program) {
  int32_t forward = node_of(program, "linear"), backward = node_of(program, "linear_backward_weights");
  StepRecording recording;
  recording.begin = Time(microseconds(1000));
  Time at = recording.begin;
  auto add = [&](int64_t duration, StepPart part, int32_t node = -1) {
    at += microseconds(duration);
    recording.events.push_back({at, node < 0 ? nullptr : &program, node, part});
  };
  for (int64_t scale : {5, 3}) {
    add(2 * scale, StepPart::data);
    add(6 * scale, StepPart::kernel, forward);
    add(8 * scale, StepPart::kernel, backward);
    recording.exchanges.push_back({at - microseconds(scale), at + microseconds(scale), 7});
    add(1 * scale, StepPart::exchange);
    add(2 * scale, StepPart::update);
    add(1 * scale, StepPart::other);
    recording.step_ends.push_back(recording.events.size());
  }
  return recording;
}

const OpFigures& row_of(const ProfileFigures& figures, const std::string& op) {
  auto found = std::find_if(figures.ops.begin(), figures.ops.end(),
                            [&](const OpFigures& row) { return row.op == op; });
  EXPECT_NE(found, figures.ops.end()) << op;
  return *found;
}

double sum_of_phases(const ProfileFigures& figures) {
  double sum = 0;
  for (Phase phase : all_phases) sum += figures.phase(phase).seconds;
  return sum;
}

void expect_sums_agree(const ProfileFigures& figures) {
  double step = figures.mean_step_seconds();
  EXPECT_GT(step, 0);
  EXPECT_NEAR(sum_of_phases(figures), step, 1e-9 + 1e-6 * step);
  for (Phase phase : {Phase::forward, Phase::backward}) {
    double ops = 0, nodes = 0;
    for (const OpFigures& row : figures.ops) ops += row.phase == phase ? row.cost.seconds : 0;
    for (const NodeFigures& row : figures.nodes) nodes += row.phase == phase ? row.cost.seconds : 0;
    EXPECT_NEAR(ops, figures.phase(phase).seconds, 1e-9) << name_of(phase);
    EXPECT_NEAR(nodes, figures.phase(phase).seconds, 1e-9) << name_of(phase);
    EXPECT_GT(ops, 0) << name_of(phase);
    EXPECT_LE(figures.phase(phase).fastest_seconds, figures.phase(phase).seconds);
  }
}

TEST(ProfileFigures, AreMeansOverTheStepsBesideTheMachine) {
  Program program = small_program();
  MachineRates rates{.float32_flops = 1e9, .bfloat16_flops = 0, .copy_bytes = 1e9};
  ProfileFigures figures = figures_of(two_steps(program), rates, 4000);
  EXPECT_EQ(figures.step_seconds.size(), 2u);
  EXPECT_NEAR(figures.step_seconds[0], 100e-6, 1e-12);
  EXPECT_NEAR(figures.step_seconds[1], 60e-6, 1e-12);
  EXPECT_NEAR(figures.phase(Phase::data).seconds, 8e-6, 1e-12);
  EXPECT_NEAR(figures.phase(Phase::forward).seconds, 24e-6, 1e-12);
  EXPECT_NEAR(figures.phase(Phase::backward).seconds, 32e-6, 1e-12);
  EXPECT_NEAR(figures.phase(Phase::update).bytes, 4000, 1e-9);
  EXPECT_NEAR(figures.hidden_exchange_seconds, 8e-6, 1e-12);
  EXPECT_NEAR(figures.phase(Phase::data).fastest_seconds, 6e-6, 1e-12);
  EXPECT_NEAR(figures.phase(Phase::forward).fastest_seconds, 18e-6, 1e-12);
  EXPECT_NEAR(figures.phase(Phase::update).fastest_seconds, 6e-6, 1e-12);
  EXPECT_NEAR(row_of(figures, "linear").cost.fastest_seconds, 18e-6, 1e-12);
  expect_sums_agree(figures);

  const OpFigures& linear = row_of(figures, "linear");
  EXPECT_EQ(linear.phase, Phase::forward);
  EXPECT_NEAR(linear.cost.calls, 1, 1e-12);
  EXPECT_NEAR(linear.cost.flops, 2 * 4 * 8 * 3, 1e-9);
  double bytes = 4 * (4 * 8 + 8 * 3 + 4 * 3);  // x, weight, logits
  EXPECT_NEAR(linear.cost.bytes, bytes, 1e-9);
  EXPECT_NEAR(linear.cost.ideal_seconds, bytes / 1e9, 1e-15);  // more than 192 FLOPs take
  EXPECT_EQ(figures.ops.front().op, "linear_backward_weights") << "the slowest first";

  rates.float32_flops = 1e6;
  EXPECT_NEAR(row_of(figures_of(two_steps(program), rates, 0), "linear").cost.ideal_seconds, 192e-6, 1e-12);
}

TEST(ProfileFigures, ForwardIsWhatTheLossComesOf) {
  Program program = small_program();
  std::vector<bool> forward = forward_nodes(program.graph);
  for (size_t n = 0; n < forward.size(); ++n) {
    const std::string& op = program.graph.nodes[n].op;
    EXPECT_EQ(forward[n], op.find("backward") == std::string::npos) << op;
  }
}

TEST(ProfileReport, HasTheMachineAndEveryRow) {
  Program program = small_program();
  MachineRates rates{.float32_flops = 2e9, .bfloat16_flops = 7e9, .copy_bytes = 3e9};
  ProfileFigures figures = figures_of(two_steps(program), rates, 0);
  ProfileSetting setting{.name = "toy", .warm_up = 10, .samples = 8, .ranks = 4, .threads = 2, .left_out = 3};
  std::string text = report_text(figures, rates, setting);
  EXPECT_THAT(text, HasSubstr("rank 0 of 4"));
  EXPECT_THAT(text, HasSubstr("matrix product 2.0 GFLOP/s (bfloat16 7.0), copy 3.0 GB/s"));
  EXPECT_THAT(text, HasSubstr("step    0.080 ms (median 0.100, fastest 0.060), 50000 samples/s"));
  EXPECT_THAT(text, HasSubstr("3 of the steps"));
  for (const OpFigures& row : figures.ops) EXPECT_THAT(text, HasSubstr(row.op));
  for (Phase phase : all_phases) EXPECT_THAT(text, HasSubstr(std::string(name_of(phase))));
}

TEST(ProfileSteps, ANumberIsAskedFor) {
  EXPECT_EQ(profile_steps_of("1"), 1);
  EXPECT_EQ(profile_steps_of("100000"), 100000);
  for (const char* bad : {"0", "-1", "x", "", "3.5", "1e3", "10 ", "100001", "99999999999999999999"}) {
    EXPECT_THROW(profile_steps_of(bad), UsageError) << bad;
  }
}

// Events of a rank's lane, by the lane's rules: each begins where, or after, the one before ended. Returns
// their number.
size_t expect_lane_in_order(const nlohmann::json& events, int rank, int lane) {
  double end = -1e300;
  size_t count = 0;
  for (const auto& event : events) {
    if (event.at("ph") != "X" || event.at("pid") != rank || event.at("tid") != lane) continue;
    EXPECT_GE(event.at("ts").get<double>(), end - 1e-3) << event.dump();  // a nanosecond of rounding
    EXPECT_GE(event.at("dur").get<double>(), 0) << event.dump();
    EXPECT_FALSE(event.at("name").get<std::string>().empty());
    end = event.at("ts").get<double>() + event.at("dur").get<double>();
    ++count;
  }
  return count;
}

TEST(ProfileTrace, IsJsonWithLanesInOrder) {
  Program program = small_program();
  program.graph.nodes[static_cast<size_t>(node_of(program, "linear"))].origin = "a \"quoted\" \\ name";
  StepRecording recording = two_steps(program);
  std::string events = trace_events(recording, 3, Time(microseconds(400)), 1000);
  nlohmann::json file = nlohmann::json::parse(trace_file({events, trace_events(recording, 4, {}, 1)}));
  const nlohmann::json& all = file.at("traceEvents");
  EXPECT_EQ(expect_lane_in_order(all, 3, steps_lane), 2u);
  EXPECT_EQ(expect_lane_in_order(all, 3, parts_lane), 12u);
  EXPECT_EQ(expect_lane_in_order(all, 3, exchange_lane), 2u);
  EXPECT_EQ(expect_lane_in_order(all, 4, steps_lane), 1u) << "one step at least, however few events may be";
  std::set<std::string> names, origins;
  double first = 1e300;
  for (const auto& event : all) {
    if (event.at("ph") == "M") names.insert(event.at("args").at("name").get<std::string>());
    if (event.at("name") == "linear") origins.insert(event.at("args").at("origin").get<std::string>());
    if (event.at("ph") == "X" && event.at("pid") == 3) first = std::min(first, event.at("ts").get<double>());
  }
  EXPECT_EQ(names, (std::set<std::string>{"rank 3", "rank 4", "steps", "parts of the step",
                                          "communication thread"}));
  EXPECT_TRUE(origins.contains("a \"quoted\" \\ name"));
  EXPECT_DOUBLE_EQ(first, 600);
}

// What an exchange interrupts goes on behind it, whether it ran at once or was waited for.
TEST(ProfileExchange, EndsWithThePartThatItInterrupted) {
  struct Nothing : ExchangeWork {
    void exchange(size_t) override {}
  } work;
  for (bool overlap : {false, true}) {
    StepTimeline timeline(1, 1);
    Exchanger exchanger(overlap);
    exchanger.reserve(1);
    exchanger.observe(&timeline);
    for (int step = 0; step < 2; ++step) {
      timeline.begin_step();
      timeline.enter(StepPart::update);
      exchanger.submit(work, 5);
      exchanger.finish();
      timeline.end_step();
    }
    std::vector<StepPart> parts;
    for (const StepEvent& event : timeline.recording().events) parts.push_back(event.part);
    EXPECT_EQ(parts,
              (std::vector<StepPart>{StepPart::data, StepPart::update, StepPart::exchange, StepPart::update}))
        << overlap;
    ASSERT_EQ(timeline.recording().exchanges.size(), overlap ? 1u : 0u);
    if (overlap) {
      EXPECT_EQ(timeline.recording().exchanges[0].job, 5);
    }
    exchanger.stop();
  }
}

class Profile : public TrainingTest {
 protected:
  Config text_config(const std::string& more = "") {
    write_toy_text(folder_ / "text.h5", 600);
    return parse_config(
        "[data]\ntrain = \"" + (folder_ / "text.h5").string() +
            "\"\nbatch = 16\nsequence_length = 8\n[train]\nthreads = 1\nlog_every_steps = 1\n" + more +
            "[model]\n" + gpt,
        "test.toml");
  }
  ProfileOutcome profile(const Config& config, int ranks, int64_t steps, const std::string& name) {
    ProfileOutcome outcome;
    run_ranks(ranks, [&](Communicator& communicator) {
      ProfileOptions options;
      options.run_directory = folder_ / name;
      options.steps = steps;
      ProfileOutcome own = profile_training(config, communicator, options);
      if (communicator.rank() == 0) outcome = own;
    });
    return outcome;
  }
  void expect_good(const ProfileOutcome& outcome, int ranks, int64_t steps) {
    ASSERT_FALSE(outcome.stopped);
    EXPECT_EQ(outcome.figures.step_seconds.size(), static_cast<size_t>(steps));
    expect_sums_agree(outcome.figures);
    for (Phase phase : {Phase::data, Phase::check, Phase::update, Phase::other}) {
      EXPECT_GT(outcome.figures.phase(phase).seconds, 0) << name_of(phase);
    }
    EXPECT_EQ(outcome.figures.phase(Phase::exchange).seconds > 0, ranks > 1);
    std::ifstream text(outcome.file);
    nlohmann::json file = nlohmann::json::parse(text);
    for (int rank = 0; rank < ranks; ++rank) {
      EXPECT_EQ(expect_lane_in_order(file.at("traceEvents"), rank, steps_lane), static_cast<size_t>(steps));
      EXPECT_GE(expect_lane_in_order(file.at("traceEvents"), rank, parts_lane),
                static_cast<size_t>(5 * steps));
    }
  }
};

TEST_F(Profile, OfANetOnOneRankAddsUp) {
  // Of 64 samples 4 steps are an epoch, and there are 2 of these: a profile goes on beyond the end.
  Config net = config("train.epochs = 2\n" + std::string(batch_norm_model));
  expect_good(profile(net, 1, 12, "net"), 1, 12);
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ / "net")) {
    files.insert(entry.path().filename().string());
  }
  EXPECT_EQ(files, std::set<std::string>{"profile.json"});
}

TEST_F(Profile, OfAGptOnTwoRanksAddsUpAndShowsTheCommunicationThread) {
  ProfileOutcome outcome = profile(text_config("[comm]\noverlap = \"on\"\n"), 2, 5, "gpt");
  expect_good(outcome, 2, 5);
  EXPECT_GT(outcome.figures.hidden_exchange_seconds, 0);
  EXPECT_THAT(outcome.report, HasSubstr("rank 0 of 2"));
  std::ifstream text(outcome.file);
  nlohmann::json file = nlohmann::json::parse(text);
  EXPECT_GE(expect_lane_in_order(file.at("traceEvents"), 1, exchange_lane), 5u);
}

TEST_F(Profile, OfTwoNetsAndOfPieces) {
  Config gan =
      config("data.transform.normalize = false\n[model]\nkind = \"gan\"\nlatent = 5\nwidth = 4\n", 45, 10);
  expect_good(profile(gan, 1, 3, "gan"), 1, 3);
  Config pieces = config("parallel.virtual_ranks = 4\nparallel.allreduce.shard_optimizer = true\n");
  ProfileOutcome outcome = profile(pieces, 2, 3, "pieces");
  expect_good(outcome, 2, 3);
  EXPECT_NEAR(row_of(outcome.figures, "softmax_cross_entropy").cost.calls, 2, 1e-9) << "a call each piece";
}

TEST_F(Profile, LeavesARunAsItIs) {
  Config net = config("train.epochs = 1\n");
  run(net, 1, "run");
  std::map<std::string, std::string> before;
  for (const char* file : {"summary.json", "metrics.jsonl", "config.toml", "log.txt"}) {
    before[file] = text_of(std::string("run/") + file);
  }
  profile(net, 1, 2, "run");
  for (const auto& [file, text] : before) EXPECT_EQ(text_of("run/" + file), text) << file;
  EXPECT_TRUE(has("run/profile.json"));
  EXPECT_TRUE(run(net, 1, "run").result.was_finished);
}

TEST_F(Profile, StopsWhenAskedTo) {
  Config net = config();
  run_ranks(1, [&](Communicator& communicator) {
    int polls = 0;
    ProfileOptions options;
    options.run_directory = folder_ / "stopped";
    options.stop_requested = [&] { return ++polls > 5; };
    EXPECT_TRUE(profile_training(net, communicator, options).stopped);
  });
  EXPECT_FALSE(has("stopped/profile.json"));
}

TEST_F(Profile, RefusesAParameterServer) {
  Config served = config("parallel.mode = \"parameter_server\"\n");
  expect_error(ExitCode::bad_config, {"--profile", "parallel.mode=allreduce"},
               [&] { profile(served, 1, 2, "served"); });
}

// The recording beside the loop's own clock, and the bits beside those of a run that nobody observes.
TEST_F(Profile, AgreesWithTheLoopsOwnClockAndChangesNoBit) {
  constexpr int64_t warm_up = 2, timed = 30;
  Config net = text_config();
  std::string hashes[2];
  std::vector<double> by_loop, by_timeline;
  for (bool observed : {false, true}) {
    run_ranks(1, [&](Communicator& communicator) {
      Session session(net, communicator);
      session.length.total_steps = warm_up + timed;
      StepTimeline timeline(warm_up, timed);
      TrainOptions options;
      options.saves = false;
      if (observed) {
        session.learner->observe(&timeline);
        options.timeline = &timeline;
        options.hooks.after_step = [&](const TrainRecord& record) {
          by_loop.push_back(record.data_seconds + record.compute_seconds + record.exchange_seconds);
        };
      }
      RunPosition position;
      Logger log({.console = nullptr});
      run_steps(session, position, {}, options, {}, nullptr, nullptr, log);
      hashes[observed] = session.learner->parameters_sha256();
      if (!observed) return;
      MachineRates rates{.float32_flops = 1e9, .bfloat16_flops = 0, .copy_bytes = 1e9};
      by_timeline = figures_of(timeline.recording(), rates, 0).step_seconds;
    });
  }
  EXPECT_EQ(hashes[0], hashes[1]);
  ASSERT_EQ(by_loop.size(), static_cast<size_t>(warm_up + timed));
  ASSERT_EQ(by_timeline.size(), static_cast<size_t>(timed));
  // The timeline has a little more: what the loop does between its steps. Others on the machine may take it
  // away just there, so not every step has to agree.
  std::vector<double> ratios;
  for (size_t i = 0; i < timed; ++i) ratios.push_back(by_loop[warm_up + i] / by_timeline[i]);
  std::sort(ratios.begin(), ratios.end());
  EXPECT_LE(ratios.back(), 1.0 + 1e-9);
  EXPECT_GE(ratios[ratios.size() / 2], 0.95);
}

}  // namespace
}  // namespace trireme::test
