// Messages between ranks that do not step together: anybody to anybody, at any time. What a sweep's ranks and
// its controller talk through.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "comm/communicator.h"

namespace trireme {

struct Letter {
  int from = 0;
  std::string text;
};

// One mailbox a rank and channel; used by one thread at a time (its owner), several mailboxes of a process by
// several threads. Letters of one sender arrive in their order; none is lost.
class Mailbox {
 public:
  virtual ~Mailbox() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // To `channel` of rank `to`, itself too. Returns at once: never waits for the receiver. Throws CommError.
  virtual void send(int to, int channel, std::string_view text) = 0;
  // The next letter, whoever sent it; nothing when none has come within the time (0: only a look). Waiting
  // costs next to no processor time, and a letter is seen within 0.2 ms in the median. Throws CommError.
  virtual std::optional<Letter> receive(double timeout_seconds) = 0;

  // Large pieces of memory, straight from one rank's to another's, beside the letters: both sides name the
  // same `ticket` (>= 0, not in use between the two meanwhile) and pieces of the same lengths. post() returns
  // at once with a handle whose done() tells when the memory may change again; take() waits for all of it.
  class Posting {
   public:
    virtual ~Posting() = default;  // waits
    virtual bool done() = 0;
  };
  virtual std::unique_ptr<Posting> post(int to, int ticket,
                                        std::vector<std::span<const std::byte>> pieces) = 0;
  // `meanwhile` is called again and again while it waits (so that two who take from each other go on).
  virtual void take(int from, int ticket, std::vector<std::span<std::byte>> pieces,
                    const std::function<void()>& meanwhile) = 0;
};

// Groups of some of the ranks, made without the others.
class GroupMaker {
 public:
  virtual ~GroupMaker() = default;
  // Collective over `ranks` (of the world, rising, this one among them) and nobody else. The fastest there is
  // for where they sit, as for the world (shared memory inside a node). Of one rank: the self communicator,
  // at once.
  virtual std::unique_ptr<Communicator> make(const std::vector<int>& ranks) = 0;
  // The node of each rank of the world, counted from 0.
  virtual const std::vector<int>& nodes() const = 0;
};

// What a rank of the world needs to take part in a sweep. Made by World (MPI, or a lone process) or by
// run_meeting_ranks (threads, for tests).
struct Meeting {
  int rank = 0;
  int size = 1;
  // A mailbox of `channel` (0: the controller's, on rank 0; 1: the workers'). Once a channel.
  std::function<std::unique_ptr<Mailbox>(int channel)> mailbox;
  std::unique_ptr<GroupMaker> groups;
};

// Ranks as threads, like run_ranks().
void run_meeting_ranks(int ranks, const std::function<void(Meeting&)>& body);

}  // namespace trireme
