#include "sweep/steps/step_runner.h"

#include <fmt/format.h>
#include <signal.h>

#include <chrono>
#include <cstring>
#include <exception>
#include <optional>
#include <thread>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "sweep/letters.h"
#include "sweep/steps/child_process.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;
using State = TrialEnd::State;

// How often a watched step leaves its thread time to see that the sweep is to stop.
constexpr double look_seconds = 0.05;
// Between two tries for a run directory that a former step still holds.
constexpr double held_pause_seconds = 0.5;
// So long a sweep may take longer than its step to see that the job is asked to end.
constexpr double unasked_seconds = 5;
// srun's code for a step that has used up its memory.
constexpr int out_of_memory_code = 253;

// The signal by which a step has ended: its own, or the one that a launcher passes on in its exit code.
int signal_of(const ChildProcess::End& end, bool launched) {
  if (end.signal != 0) return end.signal;
  return launched && end.code > 128 && end.code < 128 + NSIG ? end.code - 128 : 0;
}

std::string how_it_ended(const ChildProcess::End& end, bool launched) {
  int signal = signal_of(end, launched);
  if (!end.in_time) return "did not end, and was killed";
  if (signal == SIGKILL) return "was killed by signal 9 (as is done to who uses too much memory)";
  if (signal != 0) return fmt::format("was killed by signal {} ({})", signal, ::strsignal(signal));
  if (launched && end.code == out_of_memory_code) return "ran out of memory";
  if (end.code == 0) return "ended without saying how its training has ended";
  return fmt::format("ended with exit code {}", end.code);
}

// One trial, on the thread of its first rank.
class Step {
 public:
  Step(const StepLaunch& launch, const TrialOrder& order, int width,
       const std::function<Verdict(const TrialMeasure&)>& report, const std::function<bool()>& stop)
      : launch_(launch), order_(order), width_(width), report_(report), stop_(stop) {}

  TrialEnd run() {
    make_directories(order_.run_directory);
    write_file_atomically(step_config_path(order_.run_directory), order_.config);
    auto deadline = Clock::now() + std::chrono::duration<double>(launch_.start_seconds);
    while (true) {
      TrialEnd end = run_once();
      if (!end.held) return end;
      if (!pause_until_stop(held_pause_seconds)) return {.state = State::interrupted, .reason = {}};
      if (Clock::now() > deadline) return end;
    }
  }

 private:
  TrialEnd run_once() {
    std::optional<ChildProcess> child;
    try {
      child.emplace(
          ChildOptions{.command = step_command(launch_, order_, width_),
                       .without_variables = launch_.in_job ? variables_of_job() : std::vector<std::string>{},
                       .errors = step_errors_path(order_.run_directory),
                       .patience_seconds = launch_.end_seconds});
    } catch (const IoError& error) {
      return {.state = State::not_begun, .reason = error.what()};
    }
    begun_ = told_ = late_ = false;
    auto late_at = Clock::now() + std::chrono::duration<double>(launch_.late_seconds);
    end_.reset();
    while (!child->at_end() && !end_) {
      if (std::optional<std::string> line = child->read_line(look_seconds)) hear(*child, *line);
      if (!begun_ && !late_ && Clock::now() > late_at) {
        late_ = true;
        launch_.tell(fmt::format("the step of trial {} has not started for {:.0f} s: {}", order_.trial,
                                 launch_.late_seconds, child->last_errors()));
      }
      if (!told_ && stop_()) {
        told_ = true;
        child->send_line(to_text(StopLetter{}));
      }
    }
    ChildProcess::End how = child->wait(launch_.end_seconds);
    // Where the whole job is asked to end, a step may know before the sweep.
    if (end_ && end_->state == State::interrupted && !told_ && pause_until_stop(unasked_seconds)) {
      return {.state = State::crashed, .reason = "its step was asked to end, and the sweep was not"};
    }
    return end_ ? *end_ : end_without_word(*child, how);
  }

  void hear(ChildProcess& child, const std::string& line) {
    std::optional<SweepLetter> letter;
    try {
      letter = sweep_letter(line);
    } catch (const CommError&) {
      child.note(line);  // a launcher's word
      return;
    }
    if (std::holds_alternative<ReadyLetter>(*letter)) {
      begun_ = true;
    } else if (auto* told = std::get_if<ReportLetter>(&*letter)) {
      Verdict verdict = report_(told->measure);
      child.send_line(to_text(VerdictLetter{order_.trial, std::move(verdict)}));
    } else if (auto* end = std::get_if<EndLetter>(&*letter)) {
      end_ = std::move(end->end);
    }
  }

  TrialEnd end_without_word(const ChildProcess& child, const ChildProcess::End& how) const {
    bool launched = launch_.in_job || width_ > 1;
    int signal = signal_of(how, launched);
    bool ended_by_others = !how.in_time || signal == SIGKILL || signal == SIGTERM;
    if (told_ && (!begun_ || ended_by_others)) return {.state = State::interrupted, .reason = {}};
    std::string reason = "its step " + how_it_ended(how, launched);
    std::string words = child.last_errors();
    if (!words.empty()) reason += ": " + words;
    return {.state = begun_ ? State::crashed : State::not_begun, .reason = std::move(reason)};
  }

  // Whether the sweep goes on.
  bool pause_until_stop(double seconds) const {
    auto until = Clock::now() + std::chrono::duration<double>(seconds);
    while (!stop_()) {
      if (Clock::now() >= until) return true;
      std::this_thread::sleep_for(std::chrono::duration<double>(look_seconds));
    }
    return false;
  }

  const StepLaunch& launch_;
  const TrialOrder& order_;
  int width_;
  const std::function<Verdict(const TrialMeasure&)>& report_;
  const std::function<bool()>& stop_;
  bool begun_ = false;
  bool told_ = false;
  bool late_ = false;
  std::optional<TrialEnd> end_;
};

// The first rank's end, to all.
void spread(TrialEnd& end, Communicator& group) {
  std::string text;
  if (group.rank() == 0) text = to_text(EndLetter{.trial = 0, .end = end});
  auto length = static_cast<int64_t>(text.size());
  group.broadcast(&length, sizeof length, 0);
  text.resize(static_cast<size_t>(length));
  group.broadcast(text.data(), text.size(), 0);
  end = std::get<EndLetter>(sweep_letter(text)).end;
}

}  // namespace

TrialRunner make_step_runner(StepLaunch launch) {
  return [launch = std::move(launch)](const TrialOrder& order, Communicator& group,
                                      const std::function<Verdict(const TrialMeasure&)>& report, KeptState*,
                                      const std::function<bool()>& stop) {
    TrialEnd end;
    std::exception_ptr failure;
    if (group.rank() == 0) {
      try {
        end = Step(launch, order, group.size(), report, stop).run();
      } catch (const std::exception& error) {  // of the sweep, or its files
        failure = std::current_exception();
        end = {.state = end_state_for(error), .reason = error.what()};
      }
    }
    spread(end, group);
    if (failure) std::rethrow_exception(failure);
    return end;
  };
}

}  // namespace trireme
