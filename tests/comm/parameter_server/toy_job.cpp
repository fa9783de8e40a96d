// One process of a toy job: the vector's elements count what is pushed, so that at each cut and at the end it
// shows whether every ticket was applied exactly once. job.cpp starts it.
//
//   toy_job server|worker --name value ...
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "base/error.h"
#include "comm/parameter_server/client.h"
#include "comm/parameter_server/meeting.h"
#include "comm/parameter_server/server.h"

namespace {

using namespace trireme;

struct Arguments {
  std::map<std::string, std::string> values;
  int64_t number(const std::string& name, int64_t otherwise) const {
    auto found = values.find(name);
    return found == values.end() ? otherwise : std::stoll(found->second);
  }
  std::string text(const std::string& name, const std::string& otherwise) const {
    auto found = values.find(name);
    return found == values.end() ? otherwise : found->second;
  }
};

void tell(const std::string& line) {
  std::string whole = line + "\n";
  [[maybe_unused]] ssize_t written = ::write(STDOUT_FILENO, whole.data(), whole.size());
}

// Values count what is pushed; a slot counts updates.
class CountingRules : public ShardRules {
 public:
  CountingRules(const ShardLayout& layout) : live_(layout.size()), cut_(layout.size()) {}
  void update(size_t, Range block, float* values, const float* gradient, const float*, const UpdateInfo& info,
              ShardState which) override {
    std::vector<float>& slot = which == ShardState::live ? live_ : cut_;
    for (size_t i = 0; i < block.size(); ++i) {
      values[block.begin + i] += gradient[i];
      slot[block.begin + i] += static_cast<float>(info.pieces_added);
    }
  }
  void copy_slots(size_t, Range block) override {
    std::copy(live_.begin() + static_cast<long>(block.begin), live_.begin() + static_cast<long>(block.end),
              cut_.begin() + static_cast<long>(block.begin));
  }
  std::vector<std::span<const float>> slots(ShardState which) {
    return {which == ShardState::live ? std::span<const float>(live_) : std::span<const float>(cut_)};
  }

 private:
  std::vector<float> live_, cut_;
};

ShardLayout layout_of(size_t elements, int64_t shard, int64_t servers) {
  size_t begin = elements * static_cast<size_t>(shard) / static_cast<size_t>(servers);
  size_t end = elements * static_cast<size_t>(shard + 1) / static_cast<size_t>(servers);
  ShardLayout layout;
  layout.blocks = even_blocks(end - begin, 4096);
  if (shard == 0) {
    layout.states = {end - begin, end - begin + 3};
    layout.tail_elements = 3;
  }
  return layout;
}

int serve(const Arguments& arguments) {
  int64_t servers = arguments.number("servers", 1);
  int64_t index = arguments.number("index", 0);
  auto elements = static_cast<size_t>(arguments.number("elements", 10000));
  int64_t clocks = arguments.number("clocks", 20);
  int64_t every = arguments.number("cut-every", 0);
  ServerOptions options;
  options.meeting = arguments.text("meeting", "meeting.json");
  options.job = "toy";
  options.server = static_cast<int32_t>(index);
  options.servers = static_cast<int32_t>(servers);
  options.replicas = static_cast<int32_t>(arguments.number("replicas", 1));
  options.coordinator.pieces = static_cast<int32_t>(arguments.number("pieces", 2));
  options.coordinator.staleness = arguments.number("staleness", -1);
  options.coordinator.end_clock = clocks;
  options.coordinator.lease_seconds = static_cast<double>(arguments.number("lease-ms", 2000)) / 1000;
  options.coordinator.backup_pieces = arguments.number("backup-pieces", 0) != 0;
  options.collect_clocks = options.coordinator.staleness == 0;
  options.threads = static_cast<int32_t>(arguments.number("threads", 1));
  options.fingerprint = static_cast<uint64_t>(arguments.number("fingerprint", 7));
  options.resumable = true;
  options.transports = arguments.text("transports", "");
  options.patience_seconds = static_cast<double>(arguments.number("patience-ms", 20000)) / 1000;
  std::vector<std::unique_ptr<CountingRules>> rules;
  std::vector<HostedShard> shards;
  std::vector<int64_t> hosted{index};
  if (options.replicas > 1 && servers > 1) hosted.push_back((index + servers - 1) % servers);
  for (int64_t shard : hosted) {
    HostedShard one;
    one.shard = static_cast<int32_t>(shard);
    one.layout = layout_of(elements, shard, servers);
    rules.push_back(std::make_unique<CountingRules>(one.layout));
    CountingRules* own = rules.back().get();
    one.rules = own;
    one.start_values = [](std::span<float> values) { std::fill(values.begin(), values.end(), 0.0f); };
    one.slots = [own](ShardState which) { return own->slots(which); };
    shards.push_back(std::move(one));
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::optional<EndOfJob> end;
  ParameterServer* self = nullptr;
  double per_clock = static_cast<double>(options.coordinator.pieces) * (options.coordinator.pieces + 1) / 2;
  ServerEvents events;
  events.next_cut = [every, clocks](int64_t after) {
    return every > 0 ? (after / every + 1) * every : clocks;
  };
  events.tell = [](const std::string& text, bool warning) {
    tell((warning ? "warning: " : "info: ") + text);
  };
  events.coordinates = [index](bool start) {
    tell(fmt::format("coordinator {} {}", index, start ? "first" : "again"));
  };
  int64_t done = 0;
  events.ticket_done = [&done](const TicketReport&, int64_t) { ++done; };
  events.cut = [&](int64_t clock, std::vector<StateRow> rows, bool last) {
    double expected = per_clock * static_cast<double>(clock);
    std::string wrong;
    for (const StateRow& row : rows) {
      double want = row.row == 0 ? expected : static_cast<double>(clock) * options.coordinator.pieces;
      for (float value : row.values) {
        if (static_cast<double>(value) != want)
          wrong = fmt::format("shard {} row {} has {} instead of {}", row.shard, row.row, value, want);
      }
    }
    tell(fmt::format("cut {} {}{}", clock, last ? "last " : "", wrong.empty() ? "good" : wrong));
    if (last) {
      self->finish({wrong.empty() ? 0 : 65, wrong});
    } else {
      self->take_cut(clock);
    }
  };
  events.end = [&](const EndOfJob& how) {
    std::lock_guard lock(mutex);
    end = how;
    changed.notify_all();
  };
  std::unique_lock lock(mutex);
  auto server = [&] {
    lock.unlock();
    auto made = std::make_unique<ParameterServer>(options, std::move(shards), events);
    lock.lock();
    return made;
  }();
  self = server.get();
  changed.wait(lock, [&] { return end.has_value(); });
  ServerFigures figures = server->figures();
  tell(fmt::format("server {} pushes {} duplicates {} fenced {} refused {} lost {} text {}", index,
                   figures.pushes, figures.duplicates, figures.fenced, figures.refused_messages,
                   figures.workers_lost, end->text));
  return end->code;
}

int work(const Arguments& arguments) {
  int64_t servers = arguments.number("servers", 1);
  auto elements = static_cast<size_t>(arguments.number("elements", 10000));
  ClientOptions options;
  options.meeting = arguments.text("meeting", "meeting.json");
  options.job = "toy";  // on a busy machine the job may be over before this process has started
  options.fingerprint = static_cast<uint64_t>(arguments.number("fingerprint", 7));
  options.lease_seconds = static_cast<double>(arguments.number("lease-ms", 2000)) / 1000;
  options.sees_own_pushes = arguments.number("staleness", -1) != 0;
  options.transfer = static_cast<ClientOptions::Transfer>(arguments.number("transfer", 0));
  options.start_seconds = 20;
  options.transports = arguments.text("transports", "");
  options.patience_seconds = 10;
  std::vector<std::vector<float>> values, gradients;
  std::vector<ClientShard> shards;
  for (int64_t k = 0; k < servers; ++k) {
    ClientShard shard{layout_of(elements, k, servers), {}};
    values.emplace_back(shard.layout.size());
    gradients.emplace_back(shard.layout.size());
    shards.push_back(std::move(shard));
  }
  for (size_t k = 0; k < shards.size(); ++k) shards[k].values = {std::span<float>(values[k])};
  ParameterServerClient client(options, shards);
  int64_t tickets = 0;
  uint64_t torn = 0;
  while (std::optional<Ticket> ticket = client.next()) {
    PullReport pulled = client.pull();
    torn += pulled.torn_blocks;
    for (size_t k = 0; k < shards.size(); ++k) {  // every element of a block has the same history
      for (Range block : shards[k].layout.blocks) {
        for (size_t i = block.begin; i < block.end; ++i) {
          if (values[k][i] != values[k][block.begin]) {
            tell(fmt::format("TORN shard {} element {}", k, i));
            return 65;
          }
        }
      }
    }
    ::usleep(static_cast<useconds_t>(arguments.number("compute-us", 200)));
    std::vector<PushSource> sources;
    for (size_t k = 0; k < shards.size(); ++k) {
      std::fill(gradients[k].begin(), gradients[k].end(), static_cast<float>(ticket->piece + 1));
      size_t n = shards[k].layout.elements();
      std::span<const float> all(gradients[k]);
      sources.push_back({{all.first(n), all.subspan(n), {}}, {}, 0});
    }
    client.push(*ticket, PayloadFormat::float32, sources, pulled, {});
    ++tickets;
  }
  EndOfJob end = client.wait_for_end();
  tell(fmt::format("worker {} did {} tickets, joined {} times, {} blocks again, end {}", client.worker(),
                   tickets, client.times_joined(), torn, end.code));
  return end.code;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  for (int i = 2; i + 1 < argc; i += 2) arguments.values[std::string(argv[i]).substr(2)] = argv[i + 1];
  try {
    return std::string(argv[1]) == "server" ? serve(arguments) : work(arguments);
  } catch (const Error& error) {
    tell(fmt::format("error: {}", error.what()));
    return static_cast<int>(error.code());
  }
}
