// Trials as processes of their own, watched from the sweep's: what takes one of them down takes nothing else.
#pragma once

#include "sweep/runner.h"
#include "sweep/steps/step_launch.h"

namespace trireme {

// For ranks that are threads of one process (run_meeting_ranks). The first rank of a group starts the step
// and talks with it; the others wait for its outcome.
//
// The talk is letters (letters.h), one a line: the step says that it is ready, then a report for each
// validation, which is answered by a verdict, and at last its end; it is told to stop. The end of its input
// means that the sweep has died: it saves its state and ends.
//
// What becomes of a step that ends without saying how: `crashed`, with its signal or exit code and its last
// words; `not_begun` where it had not said that it is ready (srun refused it, MPI would not start);
// `interrupted` where it was to stop and was killed on the way, as by the end of the job. A step that finds
// its run directory held by a former one, which is on its way out because its sweep has died, is started
// again until that has gone.
TrialRunner make_step_runner(StepLaunch launch);

}  // namespace trireme
