// When what a step does ended, by one clock read each: a profile's raw material. Whoever has a part in a step
// is given one, or null in production.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace trireme {

struct Program;

// What the thread that steps does. Whether a kernel is forward or backward is told by its node.
enum class StepPart : uint8_t {
  data,      // waits for the batch
  kernel,    // a node of a program
  exchange,  // waits for other ranks, or exchanges itself
  check,     // are gradients numbers, and how long are they: finite and norm
  update,    // the optimizer, running means, the moving average
  other,     // what is left: sums over micro-batches, seams between the parts, metrics
};

// An interval of that thread. It begins where the one before ended.
struct StepEvent {
  std::chrono::steady_clock::time_point end;
  const Program* program = nullptr;  // of a kernel
  int32_t node = -1;                 // its number in the program's graph
  StepPart part = StepPart::other;
};

// A job of the communication thread, beside the step.
struct ExchangeEvent {
  std::chrono::steady_clock::time_point begin, end;
  int64_t job = 0;  // the strategy's number of it
};

// The timed steps, as plain values. Intervals lie end to end from `begin` on, across steps too, so that they
// add up to the time that went by, whatever else the machine did.
struct StepRecording {
  std::chrono::steady_clock::time_point begin;
  std::vector<StepEvent> events;
  std::vector<size_t> step_ends;  // events [step_ends[k - 1], step_ends[k]) are those of step k
  std::vector<ExchangeEvent> exchanges;
};

// Takes the recording. Steps before the timed ones are taken too and forgotten: they tell how much room a
// step needs, so that a timed step allocates nothing.
class StepTimeline {
 public:
  using Clock = std::chrono::steady_clock;

  // `warm_up` steps, at least 1, are forgotten; room is made for `timed` steps.
  StepTimeline(int64_t warm_up, int64_t timed);

  // A step begins with waiting for its batch. What went by since the one before is `other` and belongs to
  // this one.
  void begin_step();
  void end_step();
  // Ends the interval that runs and begins one of `part`. Returns what ran before.
  StepPart enter(StepPart part) {
    StepPart before = part_;
    mark();
    part_ = part;
    return before;
  }
  // Ends the interval that runs and begins another of the same part: what follows is not the kernel's that
  // comes next.
  void mark() { recording_.events.push_back({Clock::now(), nullptr, -1, part_}); }
  void kernel_done(const Program& program, size_t node) {
    recording_.events.push_back({Clock::now(), &program, static_cast<int32_t>(node), StepPart::kernel});
  }
  // From the communication thread, one at a time, while a step runs.
  void exchange_done(const ExchangeEvent& event) { recording_.exchanges.push_back(event); }

  // Timed steps that have ended.
  int64_t steps() const { return static_cast<int64_t>(recording_.step_ends.size()); }
  // After the last step, or between steps.
  const StepRecording& recording() const { return recording_; }

 private:
  void begin_timed_steps();

  int64_t warm_up_;
  int64_t timed_;
  int64_t begun_ = 0;
  size_t most_events_ = 0;  // of a step of the warm-up
  size_t most_exchanges_ = 0;
  StepPart part_ = StepPart::other;
  StepRecording recording_;
};

}  // namespace trireme
