// Servers in this process, and peers that say to them whatever a test wants.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "comm/parameter_server/client.h"
#include "comm/parameter_server/local_process.h"
#include "comm/parameter_server/meeting.h"
#include "comm/parameter_server/server.h"
#include "comm/parameter_server/shared_bytes.h"
#include "comm/ucx/context.h"
#include "comm/ucx/endpoint.h"
#include "comm/ucx/worker.h"
#include "support/temporary_folder.h"

namespace trireme::test {

constexpr int hostile_limit = 60;  // seconds

// Values count what is pushed.
class SumRules : public ShardRules {
 public:
  void update(size_t, Range block, float* values, const float* gradient, const float*, const UpdateInfo&,
              ShardState) override {
    for (size_t i = 0; i < block.size(); ++i) values[block.begin + i] += gradient[i];
  }
  void copy_slots(size_t, Range) override {}
};

// A job of servers in this process: every piece p pushes p + 1 to all elements.
class ServedJob {
 public:
  struct Settings {
    int32_t servers = 1;
    int32_t pieces = 2;
    int64_t clocks = 30;
    bool collect = false;
    int32_t replicas = 1;
    double lease_seconds = 5;
  };

  explicit ServedJob(const Settings& settings) : settings_(settings) {
    for (int32_t k = 0; k < settings.servers; ++k) begin(k);
  }
  ~ServedJob() { servers_.clear(); }

  static ShardLayout layout(int32_t shard) {
    ShardLayout layout;
    layout.blocks = even_blocks(5000 + static_cast<size_t>(shard), 1024);
    size_t n = layout.elements();
    if (shard == 0) layout.states = {n, n + 3};
    if (shard == 0) layout.tail_elements = 3;
    return layout;
  }
  const Settings& settings() const { return settings_; }
  std::filesystem::path meeting_file() const { return folder_ / "meeting.json"; }
  ServerMeeting meeting() const {
    for (int i = 0; i < hostile_limit * 100; ++i) {
      if (auto found = read_meeting(meeting_file()); found && found->ready) return *found;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    throw std::runtime_error("the servers have not met");
  }
  ServerFigures figures(size_t server = 0) const { return servers_.at(server)->figures(); }
  // How the job ended; nothing when it has not by now.
  std::optional<EndOfJob> end() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(hostile_limit), [&] { return ends_ == settings_.servers; });
    return end_;
  }
  bool is_over() const {
    std::lock_guard lock(mutex_);
    return end_.has_value();
  }
  // What the last state has wrong; "" where all counts are right.
  std::string wrong() const {
    std::lock_guard lock(mutex_);
    return judged_ ? wrong_ : "the last state has not come";
  }
  // A worker as it should be, until the job's end.
  void work_well(ClientOptions::Transfer transfer = ClientOptions::Transfer::mapped) {
    ClientOptions options;
    options.meeting = meeting_file();
    options.transfer = transfer;
    options.start_seconds = options.patience_seconds = hostile_limit;
    options.lease_seconds = settings_.lease_seconds;
    options.sees_own_pushes = !settings_.collect;
    std::vector<std::vector<float>> values, gradients;
    std::vector<ClientShard> shards;
    for (int32_t k = 0; k < settings_.servers; ++k) {
      shards.push_back({layout(k), {}});
      values.emplace_back(layout(k).size());
      gradients.emplace_back(layout(k).size());
    }
    for (size_t k = 0; k < shards.size(); ++k) shards[k].values = {std::span<float>(values[k])};
    ParameterServerClient client(options, shards);
    while (std::optional<Ticket> ticket = client.next()) {
      PullReport pulled = client.pull();
      std::vector<PushSource> sources;
      for (size_t k = 0; k < shards.size(); ++k) {
        std::fill(gradients[k].begin(), gradients[k].end(), static_cast<float>(ticket->piece + 1));
        size_t n = shards[k].layout.elements();
        std::span<const float> all(gradients[k]);
        sources.push_back({{all.first(n), all.subspan(n), {}}, {}, 0});
      }
      client.push(*ticket, PayloadFormat::float32, sources, pulled, {});
    }
    client.wait_for_end();
  }

 private:
  void begin(int32_t index) {
    ServerOptions options;
    options.meeting = meeting_file();
    options.job = "hostile";
    options.server = index;
    options.servers = settings_.servers;
    options.replicas = settings_.replicas;
    options.coordinator.pieces = settings_.pieces;
    options.coordinator.end_clock = settings_.clocks;
    options.coordinator.staleness = settings_.collect ? 0 : -1;
    options.coordinator.lease_seconds = settings_.lease_seconds;
    options.collect_clocks = settings_.collect;
    options.patience_seconds = hostile_limit;
    std::vector<HostedShard> shards;
    std::vector<int32_t> hosted{index};
    if (settings_.replicas > 1) hosted.push_back((index + settings_.servers - 1) % settings_.servers);
    for (int32_t shard : hosted) {
      rules_.push_back(std::make_unique<SumRules>());
      HostedShard one;
      one.shard = shard;
      one.layout = layout(shard);
      one.rules = rules_.back().get();
      one.start_values = [](std::span<float> values) { std::fill(values.begin(), values.end(), 0.0f); };
      one.slots = [](ShardState) { return std::vector<std::span<const float>>{}; };
      shards.push_back(std::move(one));
    }
    ServerEvents events;
    int64_t clocks = settings_.clocks;
    events.next_cut = [clocks](int64_t) { return clocks; };
    events.cut = [this, index](int64_t clock, std::vector<StateRow> rows, bool) {
      judge(index, clock, rows);
    };
    events.end = [this](const EndOfJob& end) {
      std::lock_guard lock(mutex_);
      if (!end_ || end_->code == 0) end_ = end;
      ++ends_;
      changed_.notify_all();
    };
    servers_.push_back(std::make_unique<ParameterServer>(options, std::move(shards), events));
  }

  void judge(int32_t index, int64_t clock, const std::vector<StateRow>& rows) {
    auto want = static_cast<float>(clock * settings_.pieces * (settings_.pieces + 1) / 2);
    std::string wrong;
    for (const StateRow& row : rows) {
      for (float value : row.values) {
        if (value != want) wrong = fmt::format("shard {} has {} instead of {}", row.shard, value, want);
      }
    }
    {
      std::lock_guard lock(mutex_);
      judged_ = true;
      wrong_ = wrong;
    }
    servers_[static_cast<size_t>(index)]->finish({0, ""});
  }

  Settings settings_;
  TemporaryFolder folder_;
  std::vector<std::unique_ptr<SumRules>> rules_;
  std::vector<std::unique_ptr<ParameterServer>> servers_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<EndOfJob> end_;
  int ends_ = 0;
  bool judged_ = false;
  std::string wrong_;
};

// Somebody with a UCX worker of its own, who has read the meeting's file. Everything in the test's thread.
class RawPeer {
 public:
  explicit RawPeer(const ServerMeeting& meeting)
      : meeting_(meeting),
        token_(std::random_device{}() | (uint64_t{std::random_device{}()} << 32)),
        context_({.transports = ucx_transports("")}),
        worker_(context_) {
    worker_.on_message(control_message, [this](UcxMessage&& message) {
      Unpacker front(message.data().first(9));
      uint64_t token = 0;
      Word word{};
      front(token, word);
      auto body = message.data().subspan(9);
      heard_.emplace_back(word, std::vector<std::byte>(body.begin(), body.end()));
    });
    for (const ServerCard& card : meeting.servers)
      ways_.push_back(UcxEndpoint::connect(worker_, card.address));
  }

  uint64_t token() const { return token_; }
  const Welcome& welcome() const { return welcome_; }

  Hello good_hello() const {
    Hello hello;
    hello.session = meeting_.session;
    hello.token = token_;
    hello.process = ::getpid();
    hello.host = "here";
    hello.space = process_space();
    hello.address = worker_.address();
    hello.worker = welcome_.worker;
    hello.incarnation = welcome_.incarnation;
    return hello;
  }
  // To all servers; the first coordinates.
  void join() {
    Hello hello = good_hello();
    hello.worker = -1;
    hello.incarnation = -1;
    say(Word::hello, hello);
    welcome_ = unpacked<Welcome>(wait_for(Word::welcome));
    for (size_t k = 1; k < ways_.size(); ++k) say(Word::hello, good_hello(), k);
    for (size_t k = 0; k < ways_.size(); ++k) wait_for(Word::keys);
  }

  void send(std::vector<std::byte> header, std::vector<std::byte> data, unsigned id, size_t server = 0) {
    auto kept = std::make_shared<std::vector<std::byte>>(std::move(data));
    under_way_.push_back(
        ways_.at(server).send(id, header, kept->data(), kept->size(), [kept](ucs_status_t) {}));
    worker_.progress();
  }
  void say_bytes(Word word, const std::vector<std::byte>& body, size_t server = 0,
                 std::optional<uint64_t> token = {}) {
    Packer front;
    front(token.value_or(token_), word);
    front.bytes.insert(front.bytes.end(), body.begin(), body.end());
    send({}, std::move(front.bytes), control_message, server);
  }
  template <class Message>
  void say(Word word, const Message& message, size_t server = 0) {
    say_bytes(word, packed(message), server);
  }

  PayloadHeader header_of(Ticket ticket, int32_t shard) const {
    PayloadHeader header;
    header.token = token_;
    header.shard = shard;
    header.clock = ticket.clock;
    header.piece = ticket.piece;
    header.worker = welcome_.worker;
    header.incarnation = welcome_.incarnation;
    header.format = static_cast<uint8_t>(PayloadFormat::float32);
    return header;
  }
  static std::vector<std::byte> good_data(Ticket ticket, int32_t shard) {
    ShardLayout layout = ServedJob::layout(shard);
    std::vector<float> floats(layout.elements() + layout.tail_elements, static_cast<float>(ticket.piece + 1));
    auto* first = reinterpret_cast<const std::byte*>(floats.data());
    return {first, first + floats.size() * sizeof(float)};
  }
  void push(const PayloadHeader& header, std::vector<std::byte> data, size_t server = 0) {
    send(packed(header), std::move(data), payload_message, server);
  }
  void push(Ticket ticket, int32_t shard) {
    push(header_of(ticket, shard), good_data(ticket, shard), static_cast<size_t>(shard));
  }

  // The next message of that word; others stay.
  std::vector<std::byte> wait_for(Word word) {
    std::vector<std::byte> body;
    wait_until(
        [&] {
          for (auto one = heard_.begin(); one != heard_.end(); ++one) {
            if (one->first != word) continue;
            body = std::move(one->second);
            heard_.erase(one);
            return true;
          }
          return false;
        },
        fmt::format("word {}", static_cast<int>(word)).c_str());
    return body;
  }
  // Until everything sent has been fetched or dropped, and the server has answered something that was said
  // after it. Only who has joined is answered.
  void settle(bool joined = true) {
    wait_until(
        [&] {
          return std::all_of(under_way_.begin(), under_way_.end(),
                             [](const UcxRequest& one) { return one.done(); });
        },
        "what was sent");
    under_way_.clear();
    if (!joined) return;
    say(Word::pull, PullRequest{77, 0, {}});
    wait_for(Word::pulled);
  }
  template <class Condition>
  void wait_until(Condition condition, const char* what) {
    auto until = std::chrono::steady_clock::now() + std::chrono::seconds(hostile_limit);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > until) throw std::runtime_error(fmt::format("no {} came", what));
      worker_.wait(std::chrono::milliseconds(5));
    }
  }
  bool has_heard(Word word) const {
    return std::any_of(heard_.begin(), heard_.end(), [&](const auto& one) { return one.first == word; });
  }

 private:
  ServerMeeting meeting_;
  uint64_t token_;
  UcxContext context_;
  UcxWorker worker_;
  std::vector<UcxEndpoint> ways_;
  std::vector<UcxRequest> under_way_;
  std::deque<std::pair<Word, std::vector<std::byte>>> heard_;
  Welcome welcome_{-1, -1, 0, 0, {}};
};

}  // namespace trireme::test
