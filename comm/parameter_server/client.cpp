#include "comm/parameter_server/client.h"

#include "base/error.h"
#include "comm/parameter_server/client_link.h"
#include "comm/parameter_server/clock.h"

namespace trireme {

ParameterServerClient::ParameterServerClient(ClientOptions options, std::vector<ClientShard> shards)
    : link_(std::make_unique<Link>(std::move(options), std::move(shards))) {
  link_->wait_until_joined();
}
ParameterServerClient::~ParameterServerClient() = default;

int32_t ParameterServerClient::worker() const { return link_->worker(); }
int32_t ParameterServerClient::pieces() const { return link_->pieces(); }
bool ParameterServerClient::resumable() const { return link_->resumable(); }
int64_t ParameterServerClient::times_joined() const { return link_->times_joined(); }
std::optional<Ticket> ParameterServerClient::next() {
  return link_->next();
}
PullReport ParameterServerClient::pull() { return link_->pull(); }
void ParameterServerClient::push(Ticket ticket, PayloadFormat format, std::span<const PushSource> shards,
                                 const PullReport& pulled, TicketReport report) {
  report.pull_seconds = pulled.seconds;
  report.wait_seconds += pulled.wait_seconds;
  report.pulled_bytes = pulled.bytes;
  report.torn_blocks = pulled.torn_blocks;
  link_->push(ticket, format, shards, pulled, std::move(report));
}
void ParameterServerClient::wait_for_pushes() { link_->wait_for_pushes(); }
void ParameterServerClient::stop() { link_->say_to_coordinator(Word::stop, {}); }
void ParameterServerClient::fail(const EndOfJob& why) { link_->say_to_coordinator(Word::fail, packed(why)); }
EndOfJob ParameterServerClient::wait_for_end() { return link_->wait_for_end(); }
std::optional<EndOfJob> ParameterServerClient::end() const { return link_->end(); }

void ParameterServerClient::Link::wait_until_joined() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return end_ || joined_; });
  if (refusal_) throw ConfigError("{}", refusal_->text);
  if (end_ && generation_ == 0 && !late_) throw CommError("{}", end_->text);
}

std::optional<Ticket> ParameterServerClient::Link::next() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return end_ || joined_; });
    if (end_) return std::nullopt;
    int64_t generation = generation_;
    if (answers_.empty()) {
      next_sent_ = true;
      lock.unlock();
      post([this] {
        std::lock_guard guard(mutex_);
        if (Server* coordinator = server(map_.coordinator); coordinator != nullptr && joined_ && next_sent_)
          send(*coordinator, Word::next, {});
      });
      lock.lock();
      changed_.wait(lock, [&] { return end_ || !answers_.empty() || generation_ != generation || !joined_; });
    }
    if (end_) return std::nullopt;
    if (answers_.empty() || generation_ != generation) continue;  // it has had to come back: ask again
    ticket_generation_ = generation;
    TicketAnswer answer = answers_.front();
    answers_.pop_front();
    if (answer.kind != 0) return std::nullopt;
    return Ticket{answer.clock, answer.piece};
  }
}

void ParameterServerClient::Link::wait_for_pushes() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return end_ || outstanding_.empty(); });
}

void ParameterServerClient::Link::say_to_coordinator(Word word, std::vector<std::byte> body) {
  post([this, word, body = std::move(body)] {
    if (Server* coordinator = server(map_.coordinator)) send(*coordinator, word, body);
  });
}

EndOfJob ParameterServerClient::Link::wait_for_end() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return end_.has_value(); });
  return *end_;
}

std::optional<EndOfJob> ParameterServerClient::Link::end() const {
  std::lock_guard lock(mutex_);
  return end_;
}

int32_t ParameterServerClient::Link::worker() const {
  std::lock_guard lock(mutex_);
  return welcome_.worker;
}
int32_t ParameterServerClient::Link::pieces() const {
  std::lock_guard lock(mutex_);
  return welcome_.pieces;
}
bool ParameterServerClient::Link::resumable() const {
  std::lock_guard lock(mutex_);
  return welcome_.resumable != 0;
}
int64_t ParameterServerClient::Link::times_joined() const {
  std::lock_guard lock(mutex_);
  return generation_;
}

}  // namespace trireme
