// When SLURM ends the job, and whether that is so near that the run must save its state and stop.
#pragma once

#include <functional>
#include <string>

namespace trireme {

class JobEnd {
 public:
  // Made before the first step, on rank 0 alone. The end is SLURM_JOB_END_TIME (Unix seconds) where SLURM
  // sets it, else what `scontrol show job` says (within 10 s). Outside a job, for a job without an end, and
  // with before_end_seconds = 0 there is none. The run must stop before_end_seconds before the end, or half
  // of what is left now where that is less: else a short job would stop at once, having done nothing.
  // `clock` gives Unix seconds.
  explicit JobEnd(double before_end_seconds, std::function<double()> clock = unix_seconds);

  // Whether the run must stop: one look at the clock. Before the first yes SLURM is asked again, since a time
  // limit may have been extended (at most once a minute, within 5 s; without an answer the end known
  // counts). A yes stays.
  bool near();

  // What there is to tell, empty for nothing: after construction what is unusual about the end, after near()
  // has said yes why ("the job ends in 58 s by SLURM").
  const std::string& note() const { return note_; }

  static double unix_seconds();

 private:
  enum class Answer { end, no_end, none };
  Answer ask(double limit_seconds);
  void set_margin(double now);

  double before_;
  std::function<double()> clock_;
  std::string job_;
  double end_ = 0;     // Unix seconds; 0 for none
  double margin_ = 0;  // so long before the end is near
  double asked_;       // when near() asked SLURM last
  bool near_ = false;
  std::string note_;
};

// Whether a signal has come (comm/signals.h) or, with before_end_seconds > 0, the end of the SLURM job is
// near: what a job's main polls, on rank 0 with and on others without the latter. Says on stderr, as
// `program`, what is unusual about the end and why it stops.
std::function<bool()> stop_by_signal_or_job_end(const std::string& program, double before_end_seconds);

}  // namespace trireme
