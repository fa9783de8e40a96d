// A letter is one message, its channel the tag. Its sender keeps a copy until MPI has sent it, then rings the
// receiver's bell (doorbell.h) where both are on one node; from another node nothing wakes the receiver, so
// it looks again and again: every 0.1 ms at first, less often the longer nothing comes.
//
// Pieces are messages of at most 512 MiB behind a header that tells their number and lengths; the tag is
// their ticket's. What a rank sends to itself does not go through MPI.
#include "comm/mpi_meeting.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <exception>
#include <list>
#include <thread>

#include "base/error.h"
#include "comm/doorbell.h"
#include "comm/local_letters.h"
#include "comm/select.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t largest_message = size_t{512} << 20;  // MPI counts in int
constexpr int first_ticket_tag = 1024;
constexpr double poll_seconds = 30e-6;     // at first, giving way to others
constexpr double shortest_nap = 100e-6;    // then, where senders cannot ring
constexpr double longest_nap = 5e-3;       //
constexpr double nap_of_waited = 1e-3;     // of the time that has been waited
constexpr double nap_under_bells = 20e-3;  // where all senders can: for what MPI holds back
constexpr double farewell_seconds = 5;     // for letters under way when their mailbox dies

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// A duplicate of a communicator, freed unless an exception is on its way (freeing is collective).
class OwnComm {
 public:
  explicit OwnComm(MPI_Comm of) : exceptions_at_birth_(std::uncaught_exceptions()) {
    check_mpi(MPI_Comm_dup(of, &comm_), "MPI_Comm_dup");
    check_mpi(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  }
  ~OwnComm() {
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (!finalized && std::uncaught_exceptions() == exceptions_at_birth_) MPI_Comm_free(&comm_);
  }
  OwnComm(const OwnComm&) = delete;
  OwnComm& operator=(const OwnComm&) = delete;
  MPI_Comm get() const { return comm_; }

 private:
  MPI_Comm comm_ = MPI_COMM_NULL;
  int exceptions_at_birth_;
};

// What the mailboxes of a process share.
struct PostOffice {
  PostOffice(MPI_Comm world, const std::vector<int>& nodes) : comm(world) {
    check_mpi(MPI_Comm_rank(comm.get(), &rank), "MPI_Comm_rank");
    check_mpi(MPI_Comm_size(comm.get(), &size), "MPI_Comm_size");
    void* value = nullptr;
    int found = 0;
    check_mpi(MPI_Comm_get_attr(comm.get(), MPI_TAG_UB, static_cast<void*>(&value), &found), "MPI_TAG_UB");
    tickets = (found ? *static_cast<int*>(value) : 32767) - first_ticket_tag;

    auto all = make_mpi_communicator(world);
    auto node = all->split(nodes[static_cast<size_t>(rank)], rank);
    bells = std::make_unique<Doorbells>(*node);
    int neighbours = 0;
    for (size_t r = 0; r < nodes.size(); ++r) {
      bool here = nodes[r] == nodes[static_cast<size_t>(rank)];
      bell_of_rank.push_back(here ? neighbours++ : -1);
      bool heard = here && bells->hears(bell_of_rank.back());
      if (!heard) bell_of_rank.back() = -1;
      all_ring = all_ring && heard;
    }
  }

  int tag_of(int ticket) const { return first_ticket_tag + ticket % tickets; }

  OwnComm comm;
  int rank = 0;
  int size = 1;
  int tickets = 1;
  std::unique_ptr<Doorbells> bells;
  std::vector<int> bell_of_rank;   // its rank on this node, -1 where it cannot be rung
  bool all_ring = true;            // every rank can ring here
  std::atomic<int> under_way = 0;  // postings that MPI needs our looks for
  std::shared_ptr<LocalLetters> own = std::make_shared<LocalLetters>(1);
};

using Header = std::array<uint64_t, 3>;  // number of pieces, their bytes, a hash of their lengths

template <class Spans>
Header header_of(const Spans& pieces) {
  Header header{pieces.size(), 0, 14695981039346656037u};  // FNV-1a
  for (const auto& piece : pieces) {
    header[1] += piece.size();
    header[2] = (header[2] ^ piece.size()) * 1099511628211u;
  }
  return header;
}

// body(address, count) for each message of the pieces.
template <class Spans, class F>
void each_message(const Spans& pieces, F&& body) {
  for (const auto& piece : pieces) {
    for (size_t at = 0; at < piece.size(); at += largest_message) {
      body(piece.data() + at, static_cast<int>(std::min(largest_message, piece.size() - at)));
    }
  }
}

bool all_done(std::vector<MPI_Request>& requests, const char* operation) {
  int done = 0;
  check_mpi(MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE),
            operation);
  return done != 0;
}

class MpiPosting final : public Mailbox::Posting {
 public:
  MpiPosting(std::shared_ptr<PostOffice> office, int to, int ticket,
             const std::vector<std::span<const std::byte>>& pieces)
      : office_(std::move(office)),
        exceptions_at_birth_(std::uncaught_exceptions()),
        header_(header_of(pieces)) {
    auto send = [&](const void* data, int count) {
      requests_.push_back(MPI_REQUEST_NULL);
      check_mpi(MPI_Isend(data, count, MPI_BYTE, to, office_->tag_of(ticket), office_->comm.get(),
                          &requests_.back()),
                "post");
    };
    send(header_.data(), sizeof header_);
    each_message(pieces, send);
    ++office_->under_way;
  }
  // A failing rank does not wait for a receiver that may never come: the job ends (run_main).
  ~MpiPosting() override {
    try {
      auto start = Clock::now();
      while (!done() && std::uncaught_exceptions() == exceptions_at_birth_) {
        if (seconds_since(start) < poll_seconds) {
          std::this_thread::yield();
        } else {
          std::this_thread::sleep_for(std::chrono::duration<double>(shortest_nap));
        }
      }
    } catch (const CommError&) {  // MPI is broken: whoever speaks to it next says so
    }
    if (!counted_off_) --office_->under_way;
  }
  bool done() override {
    if (counted_off_) return true;
    if (!all_done(requests_, "post")) return false;
    --office_->under_way;
    counted_off_ = true;
    return true;
  }

 private:
  std::shared_ptr<PostOffice> office_;
  int exceptions_at_birth_;
  Header header_;
  std::vector<MPI_Request> requests_;
  bool counted_off_ = false;
};

class MpiMailbox final : public Mailbox {
 public:
  MpiMailbox(std::shared_ptr<PostOffice> office, int channel)
      : office_(std::move(office)), channel_(channel), exceptions_at_birth_(std::uncaught_exceptions()) {
    check_channel(channel);
    office_->own->open(0, channel);
  }
  ~MpiMailbox() override {
    office_->own->close(0, channel_);
    try {
      auto start = Clock::now();
      bool failing = std::uncaught_exceptions() != exceptions_at_birth_;
      while (!failing && !all_sent() && seconds_since(start) < farewell_seconds) {
        std::this_thread::sleep_for(std::chrono::duration<double>(shortest_nap));
      }
    } catch (const CommError&) {  // as above
    }
    // MPI may still read what nobody has fetched: that memory stays until the process ends.
    for (auto& letter : outbox_) static_cast<void>(letter.release());
  }

  int rank() const override { return office_->rank; }
  int size() const override { return office_->size; }

  void send(int to, int channel, std::string_view text) override {
    check_rank(to);
    check_channel(channel);
    if (text.size() > largest_message) {
      throw CommError("letter to rank {}: {} bytes, at most {} go: use post()", to, text.size(),
                      largest_message);
    }
    if (to == office_->rank) {
      office_->own->send(0, channel, {to, std::string(text)});
    } else {
      all_sent();
      outbox_.push_back(std::make_unique<Outgoing>(std::string(text)));
      Outgoing& out = *outbox_.back();
      check_mpi(MPI_Isend(out.text.data(), static_cast<int>(out.text.size()), MPI_BYTE, to, channel,
                          office_->comm.get(), &out.request),
                "letter");
    }
    if (int bell = office_->bell_of_rank[static_cast<size_t>(to)]; bell >= 0)
      office_->bells->ring(bell, channel);
  }

  std::optional<Letter> receive(double timeout_seconds) override {
    auto start = Clock::now();
    auto rung = start;
    uint32_t heard = office_->bells->rings(channel_);
    while (true) {
      uint32_t rings = office_->bells->rings(channel_);
      if (auto letter = look()) return letter;
      double waited = seconds_since(start);
      if (waited >= timeout_seconds) return std::nullopt;
      if (rings != heard) rung = Clock::now();
      heard = rings;
      if (seconds_since(rung) < poll_seconds) {  // a letter may be rung for before MPI has handed it over
        std::this_thread::yield();
        continue;
      }
      bool must_look = !office_->all_ring || office_->under_way > 0 || !all_sent();
      double nap =
          must_look ? std::clamp(waited * nap_of_waited, shortest_nap, longest_nap) : nap_under_bells;
      office_->bells->sleep(channel_, rings, std::min(nap, timeout_seconds - waited));
    }
  }

  std::unique_ptr<Posting> post(int to, int ticket, std::vector<std::span<const std::byte>> pieces) override {
    check_rank(to);
    check_ticket(ticket);
    if (to == office_->rank) return office_->own->post(0, 0, ticket, std::move(pieces));
    return std::make_unique<MpiPosting>(office_, to, ticket, pieces);
  }

  void take(int from, int ticket, std::vector<std::span<std::byte>> pieces,
            const std::function<void()>& meanwhile) override {
    check_rank(from);
    check_ticket(ticket);
    if (from == office_->rank) return office_->own->take(0, 0, ticket, pieces, meanwhile);
    std::vector<MPI_Request> requests;
    auto fetch = [&](void* data, int count) {
      requests.push_back(MPI_REQUEST_NULL);
      check_mpi(MPI_Irecv(data, count, MPI_BYTE, from, office_->tag_of(ticket), office_->comm.get(),
                          &requests.back()),
                "take");
    };
    Header header{};
    fetch(header.data(), sizeof header);
    for (auto start = Clock::now(); !all_done(requests, "take");) {
      if (meanwhile) meanwhile();
      double waited = seconds_since(start);
      if (waited < poll_seconds) {
        std::this_thread::yield();
      } else {
        std::this_thread::sleep_for(
            std::chrono::duration<double>(std::clamp(waited * nap_of_waited, shortest_nap, longest_nap)));
      }
    }
    if (Header wanted = header_of(pieces); header != wanted) {
      throw CommError(
          "take (ticket {}): rank {} posted {} pieces of {} bytes in all, {} of {} are wanted, or their "
          "lengths differ",
          ticket, from, header[0], header[1], wanted[0], wanted[1]);
    }
    requests.clear();
    each_message(pieces, fetch);
    while (!all_done(requests, "take")) {
      if (meanwhile) meanwhile();
      std::this_thread::yield();
    }
  }

 private:
  struct Outgoing {
    explicit Outgoing(std::string what) : text(std::move(what)) {}
    std::string text;
    MPI_Request request = MPI_REQUEST_NULL;
  };

  void check_rank(int rank) const {
    if (rank < 0 || rank >= office_->size) {
      throw CommError("mailbox: there is no rank {} of {}", rank, office_->size);
    }
  }
  static void check_channel(int channel) {
    if (channel < 0 || channel >= Doorbells::channels)
      throw CommError("mailbox: there is no channel {}", channel);
  }
  static void check_ticket(int ticket) {
    if (ticket < 0) throw CommError("mailbox: ticket {} is below 0", ticket);
  }

  std::optional<Letter> look() {
    if (auto letter = office_->own->receive(0, channel_, 0)) {
      letter->from = office_->rank;
      return letter;
    }
    int found = 0;
    MPI_Message message = MPI_MESSAGE_NULL;
    MPI_Status status;
    // Twice: Open MPI looks among what has come, and only then at what is coming.
    for (int i = 0; i < 2 && !found; ++i) {
      check_mpi(MPI_Improbe(MPI_ANY_SOURCE, channel_, office_->comm.get(), &found, &message, &status),
                "looking for letters");
    }
    if (!found) return std::nullopt;
    int count = 0;
    check_mpi(MPI_Get_count(&status, MPI_BYTE, &count), "letter's length");
    Letter letter{.from = status.MPI_SOURCE, .text = std::string(static_cast<size_t>(count), '\0')};
    check_mpi(MPI_Mrecv(letter.text.data(), count, MPI_BYTE, &message, MPI_STATUS_IGNORE), "letter");
    return letter;
  }

  // Forgets the letters that are on their way; whether that is all.
  bool all_sent() {
    std::erase_if(outbox_, [](std::unique_ptr<Outgoing>& letter) {
      int done = 0;
      check_mpi(MPI_Test(&letter->request, &done, MPI_STATUS_IGNORE), "letter");
      return done != 0;
    });
    return outbox_.empty();
  }

  std::shared_ptr<PostOffice> office_;
  int channel_;
  int exceptions_at_birth_;
  std::list<std::unique_ptr<Outgoing>> outbox_;
};

class MpiGroups final : public GroupMaker {
 public:
  MpiGroups(MPI_Comm world, const CommOptions& options, std::vector<int> nodes)
      : comm_(world), options_(options), nodes_(std::move(nodes)) {
    check_mpi(MPI_Comm_rank(comm_.get(), &rank_), "MPI_Comm_rank");
    check_mpi(MPI_Comm_group(comm_.get(), &all_), "MPI_Comm_group");
  }
  ~MpiGroups() override { MPI_Group_free(&all_); }

  const std::vector<int>& nodes() const override { return nodes_; }
  std::unique_ptr<Communicator> make(const std::vector<int>& ranks) override {
    check_group(ranks, rank_, static_cast<int>(nodes_.size()));
    if (ranks.size() == 1) return make_self_communicator();
    MPI_Group members = MPI_GROUP_NULL;
    check_mpi(MPI_Group_incl(all_, static_cast<int>(ranks.size()), ranks.data(), &members), "MPI_Group_incl");
    MPI_Comm group = MPI_COMM_NULL;
    int code = MPI_Comm_create_group(comm_.get(), members, ranks.front(), &group);
    MPI_Group_free(&members);
    check_mpi(code, "MPI_Comm_create_group");
    check_mpi(MPI_Comm_set_errhandler(group, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    Selection selection = make_world_communicator(group, options_, std::make_shared<Activity>());
    check_mpi(MPI_Comm_free(&group), "MPI_Comm_free");
    return std::move(selection.communicator);
  }

 private:
  OwnComm comm_;
  CommOptions options_;
  std::vector<int> nodes_;
  int rank_ = 0;
  MPI_Group all_ = MPI_GROUP_NULL;
};

}  // namespace

Meeting make_mpi_meeting(MPI_Comm world, const CommOptions& options) {
  std::vector<int> nodes = nodes_of_ranks(world);
  auto office = std::make_shared<PostOffice>(world, nodes);
  Meeting meeting;
  meeting.rank = office->rank;
  meeting.size = office->size;
  meeting.mailbox = [office](int channel) { return std::make_unique<MpiMailbox>(office, channel); };
  meeting.groups = std::make_unique<MpiGroups>(world, options, std::move(nodes));
  return meeting;
}

}  // namespace trireme
