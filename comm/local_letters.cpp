// Pieces: the poster leaves their addresses, the taker copies them straight and says so; no third memory.
#include "comm/local_letters.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>

#include "base/error.h"

namespace trireme {
namespace {

constexpr auto look_time = std::chrono::milliseconds(1);  // between two calls of `meanwhile`
constexpr double longest_wait = 1e6;                      // seconds: the clock's arithmetic must not overflow

template <class Spans>
std::vector<size_t> lengths_of(const Spans& spans) {
  std::vector<size_t> lengths;
  for (const auto& span : spans) lengths.push_back(span.size());
  return lengths;
}

}  // namespace

void check_lengths(const std::vector<size_t>& posted, const std::vector<size_t>& room, int from, int ticket) {
  if (posted.size() != room.size()) {
    throw CommError("take (ticket {}): rank {} posted {} pieces, {} are wanted", ticket, from, posted.size(),
                    room.size());
  }
  for (size_t i = 0; i < room.size(); ++i) {
    if (posted[i] != room[i]) {
      throw CommError("take (ticket {}): piece {} of rank {} has {} bytes, {} are wanted", ticket, i, from,
                      posted[i], room[i]);
    }
  }
}

LocalLetters::LocalLetters(int ranks) : ranks_(ranks), left_(static_cast<size_t>(ranks), false) {}

void LocalLetters::check_rank(int rank) const {
  if (rank < 0 || rank >= ranks_) throw CommError("mailbox: there is no rank {} of {}", rank, ranks_);
}

void LocalLetters::check_alive() const {
  if (!failure_.empty()) throw CommError("mailbox: {}", failure_);
}

LocalLetters::Box& LocalLetters::box_of(int rank, int channel) { return boxes_[{rank, channel}]; }

void LocalLetters::wake_all() {
  for (auto& [key, box] : boxes_) box.changed.notify_all();
  pieces_changed_.notify_all();
}

void LocalLetters::open(int rank, int channel) {
  check_rank(rank);
  if (channel < 0) throw CommError("mailbox: there is no channel {}", channel);
  std::lock_guard lock(mutex_);
  Box& box = box_of(rank, channel);
  if (box.is_open) throw CommError("mailbox: rank {} has one of channel {} already", rank, channel);
  box.is_open = true;
}

void LocalLetters::close(int rank, int channel) {
  std::lock_guard lock(mutex_);
  box_of(rank, channel).is_open = false;
}

void LocalLetters::send(int to, int channel, Letter letter) {
  check_rank(to);
  std::lock_guard lock(mutex_);
  check_alive();
  Box& box = box_of(to, channel);  // letters may come before their mailbox is open
  box.letters.push_back(std::move(letter));
  box.changed.notify_one();
}

std::optional<Letter> LocalLetters::receive(int rank, int channel, double timeout_seconds) {
  std::unique_lock lock(mutex_);
  Box& box = box_of(rank, channel);
  auto wait = std::chrono::duration<double>(std::clamp(timeout_seconds, 0.0, longest_wait));
  box.changed.wait_for(lock, wait, [&] { return !box.letters.empty() || !failure_.empty(); });
  check_alive();
  if (box.letters.empty()) return std::nullopt;
  Letter letter = std::move(box.letters.front());
  box.letters.pop_front();
  return letter;
}

class LocalLetters::LocalPosting final : public Mailbox::Posting {
 public:
  LocalPosting(std::shared_ptr<LocalLetters> all, Key key, std::shared_ptr<Posted> posted)
      : all_(std::move(all)),
        key_(key),
        posted_(std::move(posted)),
        exceptions_at_birth_(std::uncaught_exceptions()) {}
  ~LocalPosting() override {
    bool failing = std::uncaught_exceptions() != exceptions_at_birth_;  // the others are told only after this
    std::unique_lock lock(all_->mutex_);
    // Nobody reads the memory any more: it has been taken, or there is nobody left to take it.
    all_->pieces_changed_.wait(lock, [&] {
      bool nobody = failing || !all_->failure_.empty() || all_->left_[static_cast<size_t>(std::get<1>(key_))];
      return posted_->done || (nobody && !posted_->taken);
    });
    if (!posted_->done) all_->posted_.erase(key_);
  }
  bool done() override {
    std::lock_guard lock(all_->mutex_);
    return posted_->done;
  }

 private:
  std::shared_ptr<LocalLetters> all_;
  Key key_;
  std::shared_ptr<Posted> posted_;
  int exceptions_at_birth_;
};

std::unique_ptr<Mailbox::Posting> LocalLetters::post(int from, int to, int ticket, Pieces pieces) {
  check_rank(to);
  if (ticket < 0) throw CommError("mailbox: ticket {} is below 0", ticket);
  std::lock_guard lock(mutex_);
  check_alive();
  auto posted = std::make_shared<Posted>(Posted{.pieces = std::move(pieces)});
  Key key(from, to, ticket);
  if (!posted_.emplace(key, posted).second) {
    throw CommError("post from rank {} to rank {}: ticket {} is in use", from, to, ticket);
  }
  pieces_changed_.notify_all();
  return std::make_unique<LocalPosting>(shared_from_this(), key, std::move(posted));
}

void LocalLetters::take(int from, int to, int ticket, const Room& room,
                        const std::function<void()>& meanwhile) {
  check_rank(from);
  std::shared_ptr<Posted> posted;
  {
    std::unique_lock lock(mutex_);
    Key key(from, to, ticket);
    for (auto found = posted_.find(key); found == posted_.end(); found = posted_.find(key)) {
      check_alive();
      if (left_[static_cast<size_t>(from)]) {
        throw CommError("take (ticket {}): rank {} has returned without it", ticket, from);
      }
      if (meanwhile) {
        lock.unlock();
        meanwhile();
        lock.lock();
      }
      if (posted_.find(key) == posted_.end()) pieces_changed_.wait_for(lock, look_time);
    }
    posted = posted_[key];
    check_lengths(lengths_of(posted->pieces), lengths_of(room), from, ticket);
    posted->taken = true;
    posted_.erase(key);
  }
  for (size_t i = 0; i < room.size(); ++i) {
    if (!room[i].empty()) std::memcpy(room[i].data(), posted->pieces[i].data(), room[i].size());
  }
  std::lock_guard lock(mutex_);
  posted->done = true;
  pieces_changed_.notify_all();
}

void LocalLetters::fail(int rank, const std::string& message) {
  std::lock_guard lock(mutex_);
  if (failure_.empty()) failure_ = fmt::format("rank {} failed: {}", rank, message);
  wake_all();
}

void LocalLetters::leave(int rank) {
  std::lock_guard lock(mutex_);
  left_[static_cast<size_t>(rank)] = true;
  wake_all();
}

namespace {

class LocalMailbox final : public Mailbox {
 public:
  LocalMailbox(std::shared_ptr<LocalLetters> letters, int rank, int channel)
      : letters_(std::move(letters)), rank_(rank), channel_(channel) {
    letters_->open(rank_, channel_);
  }
  ~LocalMailbox() override { letters_->close(rank_, channel_); }

  int rank() const override { return rank_; }
  int size() const override { return letters_->size(); }
  void send(int to, int channel, std::string_view text) override {
    letters_->send(to, channel, {rank_, std::string(text)});
  }
  std::optional<Letter> receive(double timeout_seconds) override {
    return letters_->receive(rank_, channel_, timeout_seconds);
  }
  std::unique_ptr<Posting> post(int to, int ticket, std::vector<std::span<const std::byte>> pieces) override {
    return letters_->post(rank_, to, ticket, std::move(pieces));
  }
  void take(int from, int ticket, std::vector<std::span<std::byte>> pieces,
            const std::function<void()>& meanwhile) override {
    letters_->take(from, rank_, ticket, pieces, meanwhile);
  }

 private:
  std::shared_ptr<LocalLetters> letters_;
  int rank_;
  int channel_;
};

class LoneGroups final : public GroupMaker {
 public:
  std::unique_ptr<Communicator> make(const std::vector<int>& ranks) override {
    check_group(ranks, 0, 1);
    return make_self_communicator();
  }
  const std::vector<int>& nodes() const override { return nodes_; }

 private:
  std::vector<int> nodes_{0};
};

}  // namespace

std::unique_ptr<Mailbox> make_local_mailbox(std::shared_ptr<LocalLetters> letters, int rank, int channel) {
  return std::make_unique<LocalMailbox>(std::move(letters), rank, channel);
}

void check_group(const std::vector<int>& ranks, int own, int size) {
  bool rises = std::adjacent_find(ranks.begin(), ranks.end(), std::greater_equal<>()) == ranks.end();
  bool fits = !ranks.empty() && ranks.front() >= 0 && ranks.back() < size;
  if (!rises || !fits || !std::binary_search(ranks.begin(), ranks.end(), own)) {
    throw CommError(
        "group of ranks [{}]: they must rise, be of the {} there are, and have rank {} among them",
        fmt::join(ranks, ", "), size, own);
  }
}

Meeting make_lone_meeting() {
  auto letters = std::make_shared<LocalLetters>(1);
  Meeting meeting;
  meeting.mailbox = [letters](int channel) { return make_local_mailbox(letters, 0, channel); };
  meeting.groups = std::make_unique<LoneGroups>();
  return meeting;
}

}  // namespace trireme
