#include "sweep/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <limits>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "sweep/controller.h"
#include "sweep/crash_note.h"
#include "sweep/identity.h"
#include "sweep/logic.h"
#include "sweep/publisher.h"
#include "sweep/restart.h"
#include "sweep/sampler.h"
#include "sweep/shared_journals.h"
#include "sweep/suggester.h"
#include "sweep/worker.h"
#include "train/job_end.h"

namespace trireme {
namespace {

constexpr const char* width_key = "sweep.ranks_per_trial";

// "TOML" of a whole number, as ranks_per_trial's choices are.
int width_of_literal(const std::string& literal) { return std::stoi(literal); }

// Refuses to go on with what another sweep has left in the folder.
void require_same_sweep(const std::filesystem::path& folder, const SharedJournals& journals,
                        const std::string& identity) {
  std::string hash = identity_hash(identity);
  bool same = true;
  journals.for_each([&](const Record& record, int64_t) {
    if (auto* start = std::get_if<StartRecord>(&record.what)) same &= start->sweep == hash;
  });
  if (same) return;
  std::string difference;
  try {
    SweepConfig former = load_sweep_config((folder / "sweep.toml").string());
    difference = identity_difference(identity, identity_text(former, load_sweep_base(former)));
  } catch (const Error& error) {
    difference = fmt::format("what the former was cannot be read: {}", error.what());
  }
  throw ConfigError(
      "{} holds another sweep ({}): go on with that one, or choose another sweep.name or --run-dir, "
      "or start anew with --fresh",
      folder.string(), difference.empty() ? "made by another version" : difference);
}

// "going on after 2 starts ...".
std::string going_on_text(const History& history, const RestartState& restart) {
  int over = 0, waiting = 0, paused = 0;
  for (const Trial& trial : history.trials()) {
    over += trial.is_over() ? 1 : 0;
    paused += trial.state == TrialState::paused ? 1 : 0;
    waiting += trial.state == TrialState::running || trial.state == TrialState::waiting ? 1 : 0;
  }
  return fmt::format("going on after {:.0f} s: of {} trials {} are over, {} paused, {} to be begun again",
                     restart.seconds, history.trials().size(), over, paused, waiting);
}

// Those of all workers by their times, each worker's in their order, whatever its clock says.
std::vector<SweepEvent> past_events(const SharedJournals& journals) {
  std::vector<std::pair<double, SweepEvent>> timed;
  std::map<int64_t, double> latest;
  journals.for_each([&](const Record& record, int64_t worker) {
    double& time = latest[worker];
    time = std::max(time, record.time);
    timed.push_back({time, {worker, record}});
  });
  std::stable_sort(timed.begin(), timed.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<SweepEvent> events;
  for (auto& [time, event] : timed) events.push_back(std::move(event));
  return events;
}

// What a former sweep has left beside its journals.
void remove_former(const std::filesystem::path& folder) {
  std::error_code failed;
  for (const char* name : {"trials", "claims", "sweep.jsonl", "report.html", "sweep.toml", "base.toml"}) {
    std::filesystem::remove_all(folder / name, failed);
    if (failed) throw IoError("{}: cannot be removed: {}", (folder / name).string(), failed.message());
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::string name = entry.path().filename();
    if (name.starts_with("best") && name.ends_with(".toml")) std::filesystem::remove(entry.path(), failed);
  }
}

// Rank 0's side: everything but the training.
class Control {
 public:
  Control(const SweepConfig& config, const Config& base, Meeting& meeting, const SweepOptions& options)
      : config_(config),
        base_(base),
        options_(options),
        nodes_(meeting.groups->nodes()),
        mailbox_(meeting.mailbox(controller_channel)) {}

  void start() {
    thread_ = std::thread([this] { run(); });
  }
  // The worker of this rank has failed.
  void mark_broken() { broken_ = true; }
  void join() { thread_.join(); }
  // Of the controller; null where it has only followed the worker's.
  const std::exception_ptr& error() const { return error_; }
  const SweepResult& result() const { return result_; }

 private:
  void run() {
    LeaveLetter leave{.stopped = false, .code = static_cast<int>(ExitCode::internal), .message = ""};
    try {
      work();
      return;
    } catch (const FirstRankFailed& error) {
      leave.message = error.what();
    } catch (const Error& error) {
      leave = {false, static_cast<int>(error.code()), error.what()};
      error_ = std::current_exception();
    } catch (const std::exception& error) {
      leave.message = error.what();
      error_ = std::current_exception();
    }
    try {
      for (size_t rank = 0; rank < nodes_.size(); ++rank) {
        mailbox_->send(static_cast<int>(rank), worker_channel, to_text(leave));
      }
    } catch (const Error&) {
      // They cannot be reached: what is thrown ends them.
    }
  }
  void work();
  void go_on(const Space& space, SharedJournals& journals, History& history, const RestartState& restart,
             const std::string& identity);
  void tell_result(const SweepLogic& logic, double seconds);

  const SweepConfig& config_;
  const Config& base_;
  const SweepOptions& options_;
  std::vector<int> nodes_;
  std::unique_ptr<Mailbox> mailbox_;
  std::atomic<bool> broken_ = false;
  std::exception_ptr error_;
  SweepResult result_;
  std::thread thread_;
};

void Control::work() {
  Space space = make_space(config_, base_);
  require_widths(config_, space, static_cast<int>(nodes_.size()));
  make_directories(options_.folder);
  JournalOptions journal_options;
  if (options_.fresh) journal_options.start_over = [&] { remove_former(options_.folder); };
  journal_options.tell = options_.tell;
  journal_options.progress = progress_of;
  journal_options.restarts = base_.checkpoint.restarts;
  // Numbers are claimed always: another job of an array may come at any time.
  History history(config_.at == "best", true);
  SharedJournals journals(options_.folder, options_.worker, history, journal_options);

  std::string identity = identity_text(config_, base_);
  RestartState restart = restart_state(
      journals.past(), [&](int64_t trial) { return read_crash_note(trial_folder(options_.folder, trial)); });
  require_same_sweep(options_.folder, journals, identity);
  save_sweep_config(config_, options_.folder.string());
  go_on(space, journals, history, restart, identity);
}

void Control::go_on(const Space& space, SharedJournals& journals, History& history,
                    const RestartState& restart, const std::string& identity) {
  if (!restart.first) options_.tell(going_on_text(history, restart));
  std::unique_ptr<Sampler> sampler = make_sampler(config_, space);
  std::unique_ptr<Scheduler> scheduler = make_scheduler(config_, space, base_.train.epochs);
  if (scheduler->copies_states() && (options_.worker != 0 || journals.has_others())) {
    throw ConfigError(
        "{}: \"{}\" takes states over from trial to trial, which jobs of an array cannot: use one "
        "job of more ranks",
        config_.where("sweep.scheduler"), config_.sweep.scheduler);
  }
  auto trial_config = [&](const Point& point) {
    return dump_config(make_trial_config(config_, space.assignments(point)));
  };
  SweepView view{.config = config_, .space = space, .history = History(config_.at == "best", true)};
  view.max_epochs = base_.train.epochs;
  for (SweepEvent& event : past_events(journals)) view.add(std::move(event));
  view.past = view.events.size();
  Publisher publisher({.folder = options_.folder,
                       .worker = options_.worker,
                       .keep_checkpoints = config_.sweep.keep_checkpoints,
                       .keeps_until_end = scheduler->copies_states(),
                       .publish = options_.publish},
                      std::move(view));
  Suggester suggester(*sampler, space, history, trial_config,
                      [&](const Point& point) { return width_of(config_, space, point); });
  auto feed = [&](const Record& record, int64_t worker) {
    suggester.feed(record, worker);
    publisher.feed(record, worker);
  };
  SweepLogic::Setting setting;
  setting.nodes = nodes_;
  setting.folder = options_.folder;
  setting.worker = options_.worker;
  setting.least_width = least_width(config_, space);
  setting.identity = identity_hash(identity);
  setting.trial_config = trial_config;
  setting.journal = [&](Record record) {
    record = journals.append(std::move(record));
    feed(record, options_.worker);
    return record;
  };
  setting.claim = [&] { return journals.claim(config_.budget.trials); };
  setting.give_back = [&](int64_t number) { journals.give_back(number); };
  SweepLogic logic(config_, space, *scheduler, history, std::move(setting));

  if (restart.finished && !spent_budget(config_.budget, history, restart.seconds).empty()) {
    result_.was_finished = true;
    result_.reason = spent_budget(config_.budget, history, restart.seconds) + " is spent";
    for (size_t rank = 0; rank < nodes_.size(); ++rank) {
      mailbox_->send(static_cast<int>(rank), worker_channel, to_text(LeaveLetter{}));
    }
    journals.mark_done();
    publisher.finish();
    return;
  }
  double begun = JobEnd::unix_seconds();
  logic.start(restart, begun);
  ControllerHooks hooks;
  hooks.stop_requested = options_.stop_requested;
  hooks.broken = [&] { return broken_.load(); };
  hooks.refresh = [&] { return journals.refresh(feed) > 0; };
  try {
    run_controller(*mailbox_, logic, suggester, hooks);
  } catch (const std::exception&) {
    logic.abandon();
    throw;
  }
  journals.sync();
  if (!logic.stopped()) journals.mark_done();
  journals.refresh(feed);  // what others ended meanwhile is in the last results, too
  tell_result(logic, JobEnd::unix_seconds() - begun);
  if (!logic.failure()) return publisher.finish();
  try {
    publisher.finish();
  } catch (const Error& error) {  // most likely for the same reason
    options_.tell(error.what());
  }
  throw *logic.failure();
}

void Control::tell_result(const SweepLogic& logic, double seconds) {
  const Utilisation& used = logic.utilisation();
  result_.stopped = logic.stopped();
  result_.reason = logic.over_reason();
  result_.seconds = seconds;
  result_.busy_share = used.busy_seconds / (static_cast<double>(nodes_.size()) * std::max(seconds, 1e-9));
  result_.dispatch_seconds = used.idle_quantile(0.5);
  result_.slow_dispatch_seconds = used.idle_quantile(0.99);
  options_.tell(
      fmt::format("{}: {}. Ranks were busy for {:.1f} % of {:.1f} s; a free rank had its next trial after "
                  "{:.2f} ms (median)",
                  result_.stopped ? "stopped" : "finished", result_.reason, 100 * result_.busy_share, seconds,
                  1e3 * result_.dispatch_seconds));
}

}  // namespace

int width_of(const SweepConfig& config, const Space& space, const Point& point) {
  std::optional<size_t> searched = space.find(width_key);
  if (!searched || std::isnan(point.at(*searched))) return static_cast<int>(config.sweep.ranks_per_trial);
  return width_of_literal(space.literal(*searched, point[*searched]));
}

int least_width(const SweepConfig& config, const Space& space) {
  auto least = static_cast<int>(config.sweep.ranks_per_trial);
  std::optional<size_t> searched = space.find(width_key);
  if (!searched) return least;
  const Parameter& parameter = space[*searched];
  if (!parameter.when) least = std::numeric_limits<int>::max();
  if (parameter.kind != ParameterKind::choice) least = std::min(least, static_cast<int>(parameter.low));
  for (const std::string& choice : parameter.choices) least = std::min(least, width_of_literal(choice));
  return least;
}

void require_widths(const SweepConfig& config, const Space& space, int ranks) {
  auto widest = static_cast<int>(config.sweep.ranks_per_trial);
  std::string where = config.where(width_key);
  if (std::optional<size_t> searched = space.find(width_key)) {
    const Parameter& parameter = space[*searched];
    where = parameter.origin;
    if (parameter.kind != ParameterKind::choice) widest = static_cast<int>(parameter.high);
    for (const std::string& choice : parameter.choices) widest = std::max(widest, width_of_literal(choice));
  }
  if (widest > ranks) {
    throw ConfigError("{}: {} = {}, but the sweep has {} rank{}: start it on more, or make trials narrower",
                      where, width_key, widest, ranks, ranks == 1 ? "" : "s");
  }
}

SweepResult run_sweep(const SweepConfig& config, const Config& base, Meeting& meeting,
                      const TrialRunner& runner, const SweepOptions& options) {
  if (meeting.rank != 0) {
    SweepWorker worker(meeting, runner, options.stop_requested);
    SweepResult result;
    result.stopped = worker.run();
    return result;
  }
  Control control(config, base, meeting, options);
  SweepWorker worker(meeting, runner, {});
  control.start();
  std::exception_ptr failure;
  try {
    worker.run();
  } catch (...) {
    failure = std::current_exception();
    control.mark_broken();
  }
  control.join();
  if (control.error()) std::rethrow_exception(control.error());
  if (failure) std::rethrow_exception(failure);
  return control.result();
}

}  // namespace trireme
