// Letters and pieces inside one process: between ranks that are threads, and of a rank to itself.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "comm/mailbox.h"

namespace trireme {

// What the ranks of a process share: their letters, and the pieces that are on their way. All of it may be
// called by any thread.
class LocalLetters : public std::enable_shared_from_this<LocalLetters> {
 public:
  explicit LocalLetters(int ranks);

  int size() const { return ranks_; }
  // Throws CommError where `rank` has such a mailbox already, or there is no such rank or channel.
  void open(int rank, int channel);
  void close(int rank, int channel);

  void send(int to, int channel, Letter letter);
  std::optional<Letter> receive(int rank, int channel, double timeout_seconds);

  using Pieces = std::vector<std::span<const std::byte>>;
  using Room = std::vector<std::span<std::byte>>;
  std::unique_ptr<Mailbox::Posting> post(int from, int to, int ticket, Pieces pieces);
  void take(int from, int to, int ticket, const Room& room, const std::function<void()>& meanwhile);

  // `rank` has failed: whoever waits, or comes to, gets CommError with `message`.
  void fail(int rank, const std::string& message);
  // `rank` will post and take nothing more.
  void leave(int rank);

 private:
  class LocalPosting;
  struct Box {
    bool is_open = false;
    std::deque<Letter> letters;
    std::condition_variable changed;
  };
  struct Posted {
    Pieces pieces;
    bool taken = false;  // its taker copies
    bool done = false;
  };
  using Key = std::tuple<int, int, int>;  // from, to, ticket

  Box& box_of(int rank, int channel);
  void check_rank(int rank) const;
  void check_alive() const;
  void wake_all();

  int ranks_;
  std::mutex mutex_;
  std::map<std::pair<int, int>, Box> boxes_;  // by rank and channel
  std::map<Key, std::shared_ptr<Posted>> posted_;
  std::condition_variable pieces_changed_;
  std::vector<bool> left_;
  std::string failure_;  // empty: nobody has failed
};

// Rank `rank`'s mailbox of `channel`. Throws CommError.
std::unique_ptr<Mailbox> make_local_mailbox(std::shared_ptr<LocalLetters> letters, int rank, int channel);

// What the pieces of both sides must be alike in: throws CommError naming the first that differ in length.
void check_lengths(const std::vector<size_t>& posted, const std::vector<size_t>& room, int from, int ticket);

// Throws CommError unless `ranks` rise, are of `size` ranks, and `own` is among them.
void check_group(const std::vector<int>& ranks, int own, int size);

// The meeting of a lone process: one rank, no MPI.
Meeting make_lone_meeting();

}  // namespace trireme
