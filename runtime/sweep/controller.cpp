#include "sweep/controller.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "train/job_end.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double tick_seconds = 0.05;
// Between two looks at what other jobs of an array have written.
constexpr double refresh_seconds = 3;
// Most samplers answer within this time, which is less than going through the loop once more.
constexpr double quick_answer_seconds = 3e-4;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

void run_controller(Mailbox& mailbox, SweepLogic& logic, Suggester& suggester, const ControllerHooks& hooks) {
  Clock::time_point asked;
  bool asking = false;
  Clock::time_point ticked = Clock::now();
  Clock::time_point refreshed = ticked;
  auto look_for_stop = [&] {
    if (hooks.stop_requested && hooks.stop_requested()) logic.stop("asked to stop", JobEnd::unix_seconds());
  };
  look_for_stop();  // then nothing is begun
  while (true) {
    for (const auto& [rank, letter] : logic.take_letters())
      mailbox.send(rank, worker_channel, to_text(letter));
    if (logic.over()) return;
    double quick = 0;
    if (std::optional<int64_t> wanted = logic.take_wanted()) {
      suggester.ask(*wanted);
      asking = true;
      asked = Clock::now();
      quick = quick_answer_seconds;
    }
    if (asking) {
      if (std::optional<Suggester::Answer> answer = suggester.answer(quick)) {
        asking = false;
        logic.suggested(std::move(answer->proposal), JobEnd::unix_seconds());
        continue;
      }
    }
    // A sampler that thinks long is asked for its answer seldom: it is late by a twentieth at most.
    double wait = asking ? std::clamp(seconds_since(asked) / 20, 1e-4, 5e-3) : tick_seconds;
    if (std::optional<Letter> letter = mailbox.receive(wait)) {
      logic.receive(letter->from, sweep_letter(letter->text), JobEnd::unix_seconds());
    }
    if (seconds_since(ticked) < tick_seconds) continue;
    ticked = Clock::now();
    if (hooks.broken()) throw FirstRankFailed("rank 0 of the sweep has failed");
    look_for_stop();
    if (seconds_since(refreshed) >= refresh_seconds) {
      refreshed = Clock::now();
      hooks.refresh();
    }
    logic.tick(JobEnd::unix_seconds());
  }
}

}  // namespace trireme
