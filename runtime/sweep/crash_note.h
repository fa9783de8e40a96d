// Who brought a sweep down: a process that dies of a fault leaves a note in the folder of the trial that it
// ran, so that the next start blames that one and not those which ran beside it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "sweep/runner.h"

namespace trireme {

// The same runner, each of whose trials leaves such a note `<run directory>/crashed` (comm/fatal_signals.h). For
// processes with one rank each.
TrialRunner leave_crash_notes(TrialRunner runner);

// What the note in a trial's folder says ("signal 11, segmentation fault"); nothing where there is none.
std::optional<std::string> read_crash_note(const std::filesystem::path& run_directory);

}  // namespace trireme
