#include "comm/watchdog.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "comm/watch_sockets.h"
#include "comm/watch_table.h"
#include "comm/world.h"

namespace trireme {
namespace {

constexpr double beat_seconds = 0.5;   // between two words of a rank
constexpr double connect_seconds = 5;  // for each of rank 0's addresses
constexpr double told_seconds = 0.2;   // for the others to hear that the job ends
constexpr double launcher_seconds =
    1;  // that the launcher has to end a job of which a process has died, with its own code
constexpr int tick_milliseconds = 100;
constexpr double longest_tick =
    1;  // a longer one means that this process was stopped, perhaps with the whole job

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void sleep_for(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

// One write, so that lines do not mix; not through stdio, which the stopped main thread may hold locked.
void print_error(const std::string& message) {
  std::string line = fmt::format("{}: error: {}\n", program_invocation_short_name, message);
  std::string_view rest = line;
  while (!rest.empty()) {
    ssize_t written = ::write(STDERR_FILENO, rest.data(), rest.size());
    if (written <= 0) return;
    rest.remove_prefix(static_cast<size_t>(written));
  }
}

ExitCode code_of(bool resumable) { return resumable ? ExitCode::stopped : ExitCode::internal; }

std::string remedy_of(bool resumable) {
  return resumable ? "; submit again to go on from the newest checkpoint"
                   : "; there is no checkpoint yet to go on from";
}

void allow_descriptors(size_t more) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= more + 256) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, more + 256);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

// A thread that ticks until it is asked to stop, woken by what comes on descriptors.
class Watchdog::Watch {
 public:
  Watch(std::shared_ptr<Activity> activity, int rank, double timeout)
      : activity_(std::move(activity)),
        rank_(rank),
        timeout_(timeout),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  virtual ~Watch() = default;

  // Says `last` to whom it concerns and ends the thread.
  void stop(WatchWord last) {
    if (!thread_.joinable()) return;
    last_ = last;
    stops_.store(true);
    uint64_t one = 1;
    [[maybe_unused]] ssize_t written = ::write(wake_.descriptor(), &one, sizeof one);
    thread_.join();
  }

 protected:
  void start() {
    thread_ = std::thread([this] {
      while (!stops_.load()) {
        std::vector<pollfd> descriptors{{wake_.descriptor(), POLLIN, 0}};
        list(descriptors);
        ::poll(descriptors.data(), descriptors.size(), tick_milliseconds);
        // The clock of the watch: where a whole job is suspended and goes on, nobody has been late.
        double before = std::exchange(seen_, now());
        time_ += std::min(seen_ - before, longest_tick);
        tick(time_);
      }
      end(last_);
    });
  }
  virtual void list(std::vector<pollfd>& descriptors) = 0;
  virtual void tick(double time) = 0;
  virtual void end(WatchWord last) = 0;

  WatchFrame frame(WatchWord word) const {
    WatchFrame frame;
    frame.word = word;
    frame.rank = rank_;
    frame.status = status_of(activity_->snapshot());
    return frame;
  }

  std::shared_ptr<Activity> activity_;
  int rank_;
  double timeout_;

 private:
  double time_ = 0;
  double seen_ = now();
  Socket wake_;
  std::atomic<bool> stops_{false};
  WatchWord last_ = WatchWord::goodbye;
  std::thread thread_;
};

// Rank 0's.
class Watchdog::Server final : public Watch {
 public:
  Server(std::shared_ptr<Activity> activity, std::vector<std::string> hosts, double timeout, Socket listener,
         uint64_t token)
      : Watch(std::move(activity), 0, timeout),
        ranks_(hosts.size()),
        table_(std::move(hosts), timeout, 0),
        listener_(std::move(listener)),
        token_(token) {}
  ~Server() override { stop(WatchWord::goodbye); }

  void begin(const std::vector<int64_t>& connected) {
    size_t coming = 0;
    for (size_t r = 1; r < ranks_; ++r) {
      if (connected[r] == 0) table_.do_without(static_cast<int>(r));
      if (connected[r] != 0) ++coming;
    }
    // All are in the queue by now: a short job must not close the door on those that it has not seen yet.
    pollfd door{listener_.descriptor(), POLLIN, 0};
    while (peers_.size() < coming && ::poll(&door, 1, 1000) == 1) accept_all();
    start();
  }

 private:
  struct Peer {
    FrameSocket socket;
    int rank = -1;  // not known yet
  };

  void list(std::vector<pollfd>& descriptors) override {
    descriptors.push_back({listener_.descriptor(), POLLIN, 0});
    for (const Peer& peer : peers_) descriptors.push_back({peer.socket.descriptor(), POLLIN, 0});
  }

  void tick(double time) override {
    accept_all();
    for (Peer& peer : peers_) listen_to(peer, time);
    std::erase_if(peers_, [](const Peer& peer) { return !peer.socket.open(); });
    table_.hear(0, status_of(activity_->snapshot()), time);
    if (auto reason = table_.judge(time)) end_job(*reason);
    if (time - beaten_ >= beat_seconds) {
      beaten_ = time;
      for (Peer& peer : peers_) peer.socket.send(frame(WatchWord::beat));
    }
  }

  void accept_all() {
    for (Socket socket = accept_from(listener_); socket.open(); socket = accept_from(listener_)) {
      peers_.push_back({FrameSocket(std::move(socket))});
    }
  }

  void listen_to(Peer& peer, double time) {
    WatchFrame word;
    while (peer.socket.receive(word)) {
      bool known = word.token == token_ && word.rank > 0 && static_cast<size_t>(word.rank) < ranks_;
      if (!known || (peer.rank >= 0 && peer.rank != word.rank)) {  // a stranger
        peer.rank = -1;
        peer.socket.close();
        return;
      }
      peer.rank = word.rank;
      table_.hear(word.rank, word.status, time);
      if (word.word == WatchWord::goodbye) table_.leave(word.rank);
      if (word.word == WatchWord::failing) {
        table_.fail(word.rank, time);
        pass_on_failure(word.rank);
      }
    }
    if (!peer.socket.open() && peer.rank >= 0) table_.lose(peer.rank);
  }

  // The launcher may end this rank before others: they must not take it for the culprit.
  void pass_on_failure(int rank) {
    WatchFrame word = frame(WatchWord::failing);
    word.rank = rank;
    for (Peer& peer : peers_) peer.socket.send(word);
  }

  void end_job(const std::string& reason) {
    ExitCode code = code_of(table_.resumable());
    print_error(reason + remedy_of(table_.resumable()));
    WatchFrame word = frame(WatchWord::end);
    word.code = static_cast<int32_t>(code);
    // A launcher that sees the death of a process ends the job at once, and with the code that tells of it.
    if (table_.anyone_lost()) sleep_for(launcher_seconds);
    for (Peer& peer : peers_) peer.socket.send(word);
    sleep_for(told_seconds);
    ::_exit(word.code);
  }

  void end(WatchWord last) override {
    for (Peer& peer : peers_) peer.socket.send(frame(last));
  }

  size_t ranks_;
  WatchTable table_;
  Socket listener_;
  uint64_t token_;
  std::vector<Peer> peers_;
  double beaten_ = -beat_seconds;
};

// Any other rank's.
class Watchdog::Client final : public Watch {
 public:
  Client(std::shared_ptr<Activity> activity, int rank, double timeout, FrameSocket socket,
         const WatchAddress& server)
      : Watch(std::move(activity), rank, timeout), socket_(std::move(socket)), server_(server) {
    say(WatchWord::hello);
    start();
  }
  ~Client() override { stop(WatchWord::goodbye); }

 private:
  void list(std::vector<pollfd>& descriptors) override {
    if (socket_.open()) descriptors.push_back({socket_.descriptor(), POLLIN, 0});
  }

  void tick(double time) override {
    WatchFrame word;
    while (socket_.receive(word)) {
      heard_ = time;
      if (word.word == WatchWord::end) ::_exit(word.code);
      if (word.word == WatchWord::goodbye) server_left_ = true;
      if (word.word == WatchWord::failing) (word.rank == 0 ? server_failed_ : other_failed_) = time;
    }
    if (server_left_) return;
    if (server_failed_ >= 0) {
      if (time - server_failed_ >= WatchTable::failing_seconds)
        end_alone("has failed, and the job has not ended since");
      return;
    }
    if (other_failed_ >= 0 && time - other_failed_ < WatchTable::failing_seconds) return;
    if (!socket_.open()) end_alone("is gone without a word (killed, crashed, or its node died)");
    if (time - heard_ >= timeout_) {
      end_alone(
          fmt::format("has not been heard of for {:.0f} s (stopped, or one of the hosts is cut off); see "
                      "comm.timeout_seconds",
                      timeout_));
    }
    if (time - said_ >= beat_seconds) {
      said_ = time;
      say(WatchWord::status);
    }
  }

  void say(WatchWord what) {
    WatchFrame word = frame(what);
    word.token = server_.token;
    socket_.send(word);
  }

  // Rank 0 cannot tell: every rank finds out for itself, and the first one speaks.
  [[noreturn]] void end_alone(const std::string& what) {
    // Rank 1 speaks at once and ends a second later; the launcher then ends the others, who speak where it
    // does not.
    if (rank_ > 1) sleep_for(launcher_seconds * 2 + told_seconds * std::min(rank_ - 2, 5));
    Activity::Snapshot own = activity_->snapshot();
    print_error(fmt::format("rank {} on {}: rank 0 on {} {}, as this rank is at {} of step {}, phase {}{}",
                            rank_, host_name(), server_.host.data(), what, own.operation, own.step, own.phase,
                            remedy_of(own.resumable)));
    sleep_for(launcher_seconds);
    ::_exit(static_cast<int>(code_of(own.resumable)));
  }

  void end(WatchWord last) override { say(last); }

  FrameSocket socket_;
  WatchAddress server_;
  double heard_ = 0;
  double said_ = -beat_seconds;
  bool server_left_ = false;
  double server_failed_ = -1;
  double other_failed_ = -1;
};

Watchdog::Watchdog(Communicator& group, double timeout_seconds) {
  std::array<char, 64> host{};
  std::snprintf(host.data(), host.size(), "%s", host_name().c_str());
  std::vector<std::array<char, 64>> all(static_cast<size_t>(group.size()));
  group.all_gather(host.data(), host.size(), DType::uint8, all.data());
  std::vector<std::string> hosts;
  for (const auto& one : all) hosts.emplace_back(one.data());

  WatchAddress address;
  Socket listener;
  if (group.rank() == 0) {
    allow_descriptors(hosts.size());
    listener = listen_anywhere(address);
  }
  group.broadcast(&address, sizeof address, 0);

  Socket connection;
  if (group.rank() != 0) {
    connection = connect_to(address, connect_seconds);
    if (!connection.open()) {
      print_error(fmt::format(
          "rank {} on {}: the watchdog cannot reach that of rank 0 on {}, port {}: a hang of this rank "
          "will not be noticed; the job goes on",
          group.rank(), host.data(), address.host.data(), address.port));
    }
  }
  int64_t is_connected = connection.open() ? 1 : 0;
  std::vector<int64_t> connected(hosts.size());
  group.all_gather(&is_connected, 1, DType::int64, connected.data());
  if (group.rank() == 0) {
    auto server = std::make_unique<Server>(group.shared_activity(), std::move(hosts), timeout_seconds,
                                           std::move(listener), address.token);
    server->begin(connected);
    watch_ = std::move(server);
  } else if (connection.open()) {
    watch_ = std::make_unique<Client>(group.shared_activity(), group.rank(), timeout_seconds,
                                      FrameSocket(std::move(connection)), address);
  }
}

Watchdog::~Watchdog() = default;

void Watchdog::fail() {
  if (watch_) watch_->stop(WatchWord::failing);
}

LocalDeadline::LocalDeadline(std::string what, double seconds, bool resumable) {
  if (seconds <= 0) return;
  thread_ = std::thread([this, what = std::move(what), seconds, resumable] {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return over_; })) return;
    print_error(fmt::format("rank {} on {}: {} has not returned within {:.0f} s; see comm.timeout_seconds",
                            rank_from_environment(), host_name(), what, seconds));
    ::_exit(static_cast<int>(code_of(resumable)));
  });
}

LocalDeadline::~LocalDeadline() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

}  // namespace trireme
