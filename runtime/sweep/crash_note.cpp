#include "sweep/crash_note.h"

#include <cctype>
#include <cstring>
#include <fstream>
#include <system_error>
#include <utility>

#include "comm/fatal_signals.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

fs::path note_path(const fs::path& run_directory) { return run_directory / "crashed"; }

}  // namespace

TrialRunner leave_crash_notes(TrialRunner runner) {
  return [runner = std::move(runner)](const TrialOrder& order, Communicator& group,
                                      const std::function<Verdict(const TrialMeasure&)>& report,
                                      KeptState* kept, const std::function<bool()>& stop) {
    std::error_code ignored;  // the run itself will say so
    if (group.rank() == 0) fs::create_directories(order.run_directory, ignored);
    if (group.rank() == 0) fs::remove(note_path(order.run_directory), ignored);  // a former one
    FatalSignalNote note(note_path(order.run_directory));
    return runner(order, group, report, kept, stop);
  };
}

std::optional<std::string> read_crash_note(const fs::path& run_directory) {
  std::ifstream file(note_path(run_directory));
  if (!file) return std::nullopt;
  int signal = 0;
  if (!(file >> signal)) return "a fatal signal";
  const char* name = ::sigdescr_np(signal);
  std::string text = "signal " + std::to_string(signal);
  if (name == nullptr) return text;
  text += std::string(", ") + name;
  char& letter = text[text.size() - std::strlen(name)];
  letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  return text;
}

}  // namespace trireme
