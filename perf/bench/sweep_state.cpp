// Copies of a trial's state from rank to rank by Mailbox::post and take, beside memcpy of the same bytes. Two
// ranks under mpirun; run by perf/sweep_state. A clock of its own.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/error.h"
#include "comm/run_main.h"
#include "comm/world.h"

namespace trireme {
namespace {

constexpr double longest_wait = 60;

double seconds_of(const std::function<void()>& work) {
  auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// A state as KeptState holds it: parameters, running statistics, two slots of Adam.
struct State {
  explicit State(size_t bytes) {
    for (size_t part : {bytes / 3, size_t{4096}, bytes / 3, bytes - bytes / 3 * 2 - 4096}) {
      pieces.emplace_back(part);
    }
    fill(1);
  }
  void fill(int value) {
    for (Buffer& piece : pieces) std::memset(piece.data(), value, piece.bytes());
  }
  std::vector<std::span<const std::byte>> views() const {
    std::vector<std::span<const std::byte>> all;
    for (const Buffer& piece : pieces) all.emplace_back(piece.data(), piece.bytes());
    return all;
  }
  std::vector<std::span<std::byte>> room() {
    std::vector<std::span<std::byte>> all;
    for (Buffer& piece : pieces) all.emplace_back(piece.data(), piece.bytes());
    return all;
  }
  std::vector<Buffer> pieces;
};

std::string wait_for_letter(Mailbox& mailbox) {
  auto letter = mailbox.receive(longest_wait);
  if (!letter) throw CommError("no letter has come");
  return letter->text;
}

// Sorted seconds of the rounds: of each contender in turn.
using Times = std::vector<double>;
std::string line_of(const char* what, Times times, size_t bytes, double copies) {
  std::sort(times.begin(), times.end());
  double median = times[times.size() / 2];
  return fmt::format("| {} | {:.1f} ({:.1f}..{:.1f}) | {:.1f} |\n", what, median * 1e3, times.front() * 1e3,
                     times.back() * 1e3, copies * static_cast<double>(bytes) / median / 1e9);
}

int run(int argc, char** argv) {
  size_t megabytes = argc > 1 ? std::stoul(argv[1]) : 100;
  int rounds = argc > 2 ? std::stoi(argv[2]) : 21;
  World world;
  Meeting meeting = world.meeting();
  if (meeting.size != 2) throw UsageError("bench_sweep_state: start it by mpirun -n 2 (perf/sweep_state)");
  auto mailbox = meeting.mailbox(1);
  size_t bytes = megabytes * 1000 * 1000;
  State own(bytes), other(bytes);
  int peer = 1 - meeting.rank;
  bool takes = meeting.rank == 1;
  Times plain, one_way, both_ways, at_home;
  for (int round = 0; round < rounds; ++round) {
    world.communicator().barrier();
    if (takes) {
      plain.push_back(seconds_of([&] {
        for (size_t i = 0; i < own.pieces.size(); ++i) {
          std::memcpy(other.pieces[i].data(), own.pieces[i].data(), own.pieces[i].bytes());
        }
      }));
      at_home.push_back(seconds_of([&] {
        auto posting = mailbox->post(meeting.rank, 1, own.views());
        mailbox->take(meeting.rank, 1, other.room(), {});
      }));
    }
    world.communicator().barrier();
    // As population-based training does it: the taker asks, the keeper posts and goes back to its letters.
    own.fill(round + 2);
    if (takes) {
      one_way.push_back(seconds_of([&] {
        mailbox->send(peer, 1, "post");
        mailbox->take(peer, 2, other.room(), {});
      }));
      mailbox->send(peer, 1, "done");
      if (other.pieces[3].data()[17] != static_cast<std::byte>(round + 2)) throw CommError("wrong bytes");
    } else {
      wait_for_letter(*mailbox);
      auto posting = mailbox->post(peer, 2, own.views());
      wait_for_letter(*mailbox);
    }
    world.communicator().barrier();
    both_ways.push_back(seconds_of([&] {
      auto posting = mailbox->post(peer, 3, own.views());
      mailbox->take(peer, 3, other.room(), [&] { posting->done(); });
    }));
  }
  world.communicator().barrier();
  if (!takes) return 0;
  std::printf("| %zu MB | ms: median (min..max) | GB/s |\n| --- | --- | --- |\n", megabytes);
  for (const std::string& line : {line_of("memcpy, one thread", plain, bytes, 1),
                                  line_of("post and take, of itself", at_home, bytes, 1),
                                  line_of("asked for, posted and taken", one_way, bytes, 1),
                                  line_of("both take from each other", both_ways, bytes, 2)}) {
    std::fputs(line.c_str(), stdout);
  }
  return 0;
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) { return trireme::run_main("bench_sweep_state", argc, argv, trireme::run); }
