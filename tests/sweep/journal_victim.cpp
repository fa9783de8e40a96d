// Works on a toy sweep of so many trials as worker 1, to be killed or refused its calls on the way: "ack N"
// is said once record N has been appended, "synced N" once it is on the disk.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "base/error.h"
#include "sweep/shared_journals.h"

namespace trireme {
namespace {

void say(const std::string& line) {
  if (::write(1, line.data(), line.size()) < 0) ::_exit(9);
}

struct Victim {
  Victim(const std::filesystem::path& folder) : history(false, true), journals(folder, 1, history) {
    write(StartRecord{"toy", 1, "test"});
  }
  template <class What>
  void write(What what) {
    Record record = journals.append({.number = 0, .time = 0, .what = std::move(what)});
    history.apply(record, 1);
    say(fmt::format("ack {}\n", record.number));
    newest = record.number;
  }
  void train(int64_t trial) {
    if (history.trial(trial).is_over()) return;
    write(BeginRecord{.trial = trial,
                      .attempt = history.trial(trial).attempts + 1,
                      .resumed = false,
                      .ranks = {0},
                      .source = -1,
                      .values = {},
                      .point = {}});
    write(ReportRecord{.trial = trial, .epoch = 1, .step = 1, .seconds = 1, .figures = {}, .scores = {0.5}});
    write(EndRecord{.trial = trial, .state = "finished", .reason = "", .seconds = 1, .steps = 1});
    journals.sync();
    say(fmt::format("synced {}\n", newest));
  }
  void work(int64_t trials) {
    for (size_t known = 0; known < history.trials().size(); ++known) train(static_cast<int64_t>(known));
    while (auto trial = journals.claim(trials)) {
      write(SuggestRecord{
          .trial = *trial, .values = {}, .point = {0.5}, .width = 1, .based_on = 0, .parent = -1});
      train(*trial);
    }
    write(CloseRecord{"finished", ""});
    journals.sync();
  }

  History history;
  SharedJournals journals;
  int64_t newest = -1;
};

}  // namespace
}  // namespace trireme

int main(int count, char** words) {
  if (count != 3) return 64;
  try {
    trireme::Victim(words[1]).work(std::stoll(words[2]));
  } catch (const trireme::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.code());
  }
  return 0;
}
