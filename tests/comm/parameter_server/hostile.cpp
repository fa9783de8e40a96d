// Peers that lie: everything is refused and counted, the server lives, and a good worker beside them finishes
// with exact results.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <unistd.h>

#include "comm/parameter_server/hostile_fixture.h"

namespace trireme::test {
namespace {

std::vector<std::byte> noise(size_t count, std::mt19937& random) {
  std::vector<std::byte> bytes(count);
  for (std::byte& one : bytes) one = static_cast<std::byte>(random());
  return bytes;
}

// The worker that does all the work ends well, and every ticket counted once.
void expect_good_end(ServedJob& job) {
  ASSERT_FALSE(job.is_over());
  job.work_well();
  auto end = job.end();
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->code, 0) << end->text;
  EXPECT_EQ(job.wrong(), "");
}

void say_nonsense(RawPeer& peer, std::mt19937& random) {
  for (int word = 0; word <= 255; ++word) {
    if (static_cast<Word>(word) == Word::stop || static_cast<Word>(word) == Word::leave)
      continue;  // have no body
    for (size_t size : {0, 1, 7, 40, 300, 5000}) {
      peer.say_bytes(static_cast<Word>(word), noise(size, random));
    }
  }
  for (size_t size = 0; size < 9; ++size) peer.send({}, noise(size, random), control_message);
  peer.say_bytes(Word::done, std::vector<std::byte>((size_t{1} << 20) + 1));
  peer.say_bytes(Word::roster, std::vector<std::byte>(size_t{1} << 18, std::byte{0x7f}));
  for (size_t size : {0, 3, 50, 200}) peer.send(noise(size, random), noise(100, random), payload_message);
  for (unsigned id : {0, 3, 999, 65535}) peer.send(noise(9, random), noise(20, random), id);
}

TEST(Hostile, NonsenseOfAStrangerAndOfAWorkerIsRefused) {
  std::mt19937 random(1);
  ServedJob job({});
  {
    RawPeer stranger(job.meeting());
    say_nonsense(stranger, random);
    stranger.settle(false);
  }
  RawPeer peer(job.meeting());
  peer.join();
  EXPECT_GT(job.figures().refused_messages, 5u);
  uint64_t before = job.figures().refused_messages;
  say_nonsense(peer, random);
  peer.settle();
  // All words that a worker may say, but for those with an empty body; the words that there are not.
  EXPECT_GT(job.figures().refused_messages, before + 232 * 6);
  peer.say_bytes(Word::leave, {});
  peer.settle(false);
  expect_good_end(job);
}

TEST(Hostile, HellosThatCannotBeAreRefused) {
  ServedJob job({.servers = 2});
  ServerMeeting meeting = job.meeting();
  RawPeer peer(meeting);
  Hello good = peer.good_hello();
  std::vector<Hello> bad(14, good);
  bad[0].session ^= 1;
  bad[1].session = 0;
  bad[2].server = -2;
  bad[3].server = 0;  // this one
  bad[4].server = 2;  // there are two
  bad[5].server = INT32_MAX;
  bad[6].server = 1;  // which is there
  bad[7].worker = INT32_MAX;
  bad[8].worker = 3, bad[8].incarnation = INT64_MAX;
  bad[9].address.clear();
  bad[10].address.resize(15);
  bad[11].address.front() ^= std::byte{0xff};
  bad[12].token = meeting.servers.at(0).token;
  bad[13].token = meeting.servers.at(1).token;  // of a server, as a worker
  for (const Hello& hello : bad) peer.say(Word::hello, hello);
  peer.settle(false);
  peer.join();
  EXPECT_EQ(job.figures().refused_messages, bad.size());
  // Who has joined says hello once more, and is who it was.
  Hello again = peer.good_hello();
  again.worker = -1, again.incarnation = -1;
  peer.say(Word::hello, again);
  auto welcome = unpacked<Welcome>(peer.wait_for(Word::welcome));
  EXPECT_EQ(welcome.worker, peer.welcome().worker);
  EXPECT_EQ(welcome.incarnation, peer.welcome().incarnation);
  // A worker that comes over with tickets that cannot be has not come.
  RawPeer other(meeting);
  Hello over = other.good_hello();
  over.worker = 5, over.incarnation = 9, over.outstanding = {3, -7};
  other.say(Word::hello, over);
  other.settle(false);
  // Who runs something else is told, and cannot push.
  over = other.good_hello();
  over.fingerprint = 1;
  other.say(Word::hello, over);
  EXPECT_EQ(unpacked<EndOfJob>(other.wait_for(Word::refused)).code, 78);
  other.push({0, 0}, 0);
  other.say_bytes(Word::stop, {});
  other.say(Word::fail, EndOfJob{3, "no"});
  other.settle(false);
  peer.settle();
  peer.say_bytes(Word::leave, {});
  peer.settle(false);
  expect_good_end(job);
  EXPECT_GE(job.figures().refused_messages, bad.size() + 4);
  EXPECT_EQ(job.figures().workers, 0);
}

// Without an answer, without a change, whatever kind of server there is.
TEST(Hostile, PushesThatCannotBeAreRefused) {
  std::mt19937 random(2);
  for (bool collect : {false, true}) {
    for (int32_t replicas : {1, 2}) {
      ServedJob job({.servers = 2, .collect = collect, .replicas = replicas});
      RawPeer peer(job.meeting());
      peer.join();
      uint64_t sent = 0;
      auto push = [&](auto change, std::vector<std::byte> data) {
        PayloadHeader header = peer.header_of({0, 0}, 0);
        change(header);
        peer.push(header, std::move(data));
        ++sent;
      };
      auto good = RawPeer::good_data({0, 0}, 0);
      for (int format = 0; format < 256; ++format) {
        for (size_t size : {0, 1, 4, 11, 4096, 20011, 20013, 40012}) {
          auto f = static_cast<PayloadFormat>(format);
          PayloadShape shape = ServedJob::layout(0).payload();
          bool fits = f <= PayloadFormat::float32_with_parameters && f != PayloadFormat::top_k &&
                      payload_bytes(f, shape) == size;
          if (fits) continue;
          if (f == PayloadFormat::top_k && size == 20012) continue;
          push([&](PayloadHeader& h) { h.format = static_cast<uint8_t>(format); },
               std::vector<std::byte>(size));
        }
      }
      std::vector<uint32_t> top{7, 5000, 0, 0, 0, 0, 0};  // two indices, two values, the tail
      auto bytes_of = [](const std::vector<uint32_t>& words) {
        auto* first = reinterpret_cast<const std::byte*>(words.data());
        return std::vector<std::byte>(first, first + words.size() * sizeof(uint32_t));
      };
      auto as_top_k = [](PayloadHeader& h) { h.format = static_cast<uint8_t>(PayloadFormat::top_k); };
      push(as_top_k, bytes_of(top));
      top[1] = UINT32_MAX;
      push(as_top_k, bytes_of(top));
      top[1] = 7;  // not rising
      push(as_top_k, bytes_of(top));
      for (int32_t shard : {1 - replicas, 2, 3, INT32_MAX, INT32_MIN}) {
        if (shard == 0) shard = -1;
        push([&](PayloadHeader& h) { h.shard = shard; }, good);
      }
      for (int64_t clock : {int64_t{-1}, int64_t{30}, int64_t{1} << 40, INT64_MAX, INT64_MIN})
        push([&](PayloadHeader& h) { h.clock = clock; }, good);
      for (int32_t piece : {-1, 2, 3, INT32_MAX, INT32_MIN})
        push([&](PayloadHeader& h) { h.piece = piece; }, good);
      for (int kind : {1, 2, 3, 4, 255})
        push([&](PayloadHeader& h) { h.kind = static_cast<PayloadKind>(kind); }, good);
      push(
          [](PayloadHeader& h) {
            h.descriptor = 5, h.bytes = uint64_t{1} << 40, h.memory_bytes = UINT64_MAX;
          },
          {});
      push([](PayloadHeader&) {}, std::vector<std::byte>(size_t{256} << 20));
      auto header = packed(peer.header_of({0, 0}, 0));
      for (size_t length = 0; length < header.size(); length += 5, ++sent)
        peer.send({header.begin(), header.begin() + static_cast<std::ptrdiff_t>(length)}, good,
                  payload_message);
      header.push_back(std::byte{});
      peer.send(header, good, payload_message), ++sent;
      // Of nobody: dropped.
      PayloadHeader stranger = peer.header_of({0, 0}, 0);
      stranger.token ^= 1;
      peer.push(stranger, good);
      peer.settle();
      // What was announced and fetched is judged when it is here.
      peer.wait_until([&] { return job.figures().refused_messages >= sent; }, "refusals");
      EXPECT_EQ(job.figures().refused_messages, sent);
      EXPECT_FALSE(peer.has_heard(Word::ack));
      EXPECT_EQ(job.figures().pushes, 0u);
      peer.say_bytes(Word::leave, {});
      peer.settle(false);
      expect_good_end(job);
      EXPECT_EQ(job.figures().pushes, 60u);
    }
  }
}

// The server is told to read what it cannot, must not wait for, or what is not what it is said to be.
TEST(Hostile, MemoryThatIsNotThereIsAskedForByMessage) {
  ServedJob job({});
  RawPeer peer(job.meeting());
  peer.join();
  auto good = RawPeer::good_data({0, 0}, 0);
  TemporaryFolder folder;
  int file = ::open((folder / "file").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  ASSERT_EQ(::ftruncate(file, 1 << 20), 0);
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  ::close(pipe[1]);  // who opens it to read waits for a writer
  int unsealed = ::memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  ASSERT_EQ(::ftruncate(unsealed, 1 << 20), 0);
  auto small = SharedBytes::create(4096);
  auto whole = SharedBytes::create(good.size());
  std::memcpy(whole->data(), good.data(), good.size());
  struct Claim {
    int32_t descriptor;
    uint64_t memory_bytes, memory;
  };
  for (const Claim& claim : std::vector<Claim>{{99999, 1 << 20, 1},
                                               {INT32_MAX, 1 << 20, 1},
                                               {file, 1 << 20, 1},
                                               {pipe[0], 1 << 20, 1},
                                               {unsealed, 1 << 20, 1},
                                               {small->descriptor(), 1 << 20, small->name()},
                                               {small->descriptor(), 4096, small->name()},
                                               {whole->descriptor(), whole->size(), whole->name() ^ 1}}) {
    PayloadHeader header = peer.header_of({0, 0}, 0);
    header.descriptor = claim.descriptor;
    header.memory_bytes = claim.memory_bytes;
    header.memory = claim.memory;
    header.bytes = good.size();
    peer.push(header, {});
    EXPECT_EQ(unpacked<Ack>(peer.wait_for(Word::ack)).verdict, Verdict::send_it) << claim.descriptor;
  }
  // As it should be. The ticket is nobody's yet: who gets it later is told that it is in.
  PayloadHeader header = peer.header_of({0, 0}, 0);
  header.descriptor = whole->descriptor();
  header.memory_bytes = whole->size();
  header.memory = whole->name();
  header.bytes = good.size();
  peer.push(header, {});
  EXPECT_EQ(unpacked<Ack>(peer.wait_for(Word::ack)).verdict, Verdict::applied);
  for (int one : {file, pipe[0], unsealed}) ::close(one);
  peer.say_bytes(Word::leave, {});
  peer.settle(false);
  expect_good_end(job);
  EXPECT_EQ(job.figures().duplicates, 1u);
}

TEST(Hostile, PullsThatCannotBeAreRefused) {
  ServedJob job({});
  RawPeer peer(job.meeting());
  peer.join();
  for (const PullRequest& request : {PullRequest{1, 1, {0}}, PullRequest{2, -1, {0}}, PullRequest{3, 0, {6}},
                                     PullRequest{4, 0, {UINT32_MAX}}, PullRequest{5, 0, {1, 0}},
                                     PullRequest{6, 0, std::vector<uint32_t>(200000, 0)}}) {
    peer.say(Word::pull, request);
    auto answer = unpacked<PullAnswer>(peer.wait_for(Word::pulled));
    EXPECT_EQ(answer.number, request.number);
    EXPECT_EQ(answer.known, 0);
  }
  peer.say(Word::pull, PullRequest{7, 0, {0, 2, 5}});
  EXPECT_EQ(unpacked<PullAnswer>(peer.wait_for(Word::pulled)).known, 1);
  peer.say_bytes(Word::leave, {});
  peer.settle(false);
  expect_good_end(job);
}

TEST(Hostile, WhoAsksForTicketsWithoutEndAndDiesKeepsNobodyWaiting) {
  ServedJob job({.lease_seconds = 1});
  {
    RawPeer peer(job.meeting());
    peer.join();
    for (int i = 0; i < 200; ++i) peer.say_bytes(Word::next, {});
    peer.settle();
    EXPECT_TRUE(peer.has_heard(Word::answer));
  }
  expect_good_end(job);
}

// An end that looks like success in 8 bits is none.
TEST(Hostile, AFailureDoesNotLookLikeSuccess) {
  ServedJob job({});
  RawPeer peer(job.meeting());
  peer.join();
  peer.say(Word::fail, EndOfJob{256, "it burns"});
  auto end = job.end();
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->code, 70);
  EXPECT_EQ(end->text, "it burns");
}

// Every push one to four times, by this worker and by another, in any order among shards, also after its
// acknowledgement, also in the name of one that was fenced.
TEST(Hostile, PushesThatComeAgainCountOnce) {
  for (bool collect : {false, true}) {
    for (int32_t replicas : {1, 2}) {
      std::mt19937 random(3);
      auto below = [&random](size_t n) { return random() % n; };
      ServedJob job(
          {.servers = 2, .clocks = 40, .collect = collect, .replicas = replicas, .lease_seconds = 1});
      RawPeer first(job.meeting()), second(job.meeting()), lost(job.meeting());
      for (RawPeer* peer : {&first, &second, &lost}) peer->join();
      // The third falls silent.
      lost.wait_until(
          [&] {
            first.say_bytes(Word::beat, {}), second.say_bytes(Word::beat, {});
            first.say_bytes(Word::beat, {}, 1), second.say_bytes(Word::beat, {}, 1);
            return lost.has_heard(Word::fence);
          },
          "fence");
      uint64_t of_the_fenced = 0;
      std::vector<Ticket> past;
      for (int64_t clock = 0; clock < job.settings().clocks; ++clock) {
        std::vector<Ticket> tickets;
        for (int32_t piece = 0; piece < job.settings().pieces; ++piece) {
          first.say_bytes(Word::next, {});
          auto answer = unpacked<TicketAnswer>(first.wait_for(Word::answer));
          ASSERT_EQ(answer.kind, 0);
          tickets.push_back({answer.clock, answer.piece});
        }
        std::vector<std::pair<RawPeer*, PayloadHeader>> pushes;
        for (Ticket ticket : tickets) {
          for (int32_t shard : {0, 1}) {
            pushes.emplace_back(&first, first.header_of(ticket, shard));
            for (size_t more = below(4); more > 0; --more) {
              RawPeer* who = below(2) == 0 ? &first : &second;
              pushes.emplace_back(who, who->header_of(ticket, shard));
            }
            if (below(3) == 0) {
              pushes.emplace_back(&second, lost.header_of(ticket, shard));
              pushes.back().second.token = second.token();
              of_the_fenced += shard == 0;
            }
          }
        }
        if (!past.empty()) {
          Ticket old = past[below(past.size())];
          pushes.emplace_back(&second, second.header_of(old, 0));
          pushes.emplace_back(&first, first.header_of(old, 1));
        }
        std::shuffle(pushes.begin(), pushes.end(), random);
        for (auto& [who, header] : pushes) {
          // The fenced one's would be seen.
          auto data = RawPeer::good_data({header.clock, header.piece}, header.shard);
          if (header.worker == lost.welcome().worker) std::fill(data.begin(), data.end(), std::byte{0x42});
          who->push(header, std::move(data), static_cast<size_t>(header.shard));
        }
        std::set<std::pair<Ticket, int32_t>> missing;
        for (Ticket ticket : tickets) missing.insert({ticket, 0}), missing.insert({ticket, 1});
        while (!missing.empty()) {
          auto ack = unpacked<Ack>(first.wait_for(Word::ack));
          EXPECT_EQ(ack.verdict, Verdict::applied);
          missing.erase({{ack.clock, ack.piece}, ack.shard});
        }
        // Acknowledged; and once more.
        if (below(2) == 0) first.push(tickets.front(), 0), second.push(tickets.back(), 1);
        for (int times = 0; times < 2; ++times) {
          for (Ticket ticket : tickets) {
            TicketReport report;
            report.clock = ticket.clock;
            report.piece = ticket.piece;
            report.worker = first.welcome().worker;
            first.say(Word::done, report);
            past.push_back(ticket);
          }
        }
        second.settle();
      }
      auto end = job.end();
      ASSERT_TRUE(end.has_value());
      EXPECT_EQ(end->code, 0) << end->text;
      EXPECT_EQ(job.wrong(), "");
      EXPECT_EQ(job.figures(0).pushes, 80u);
      EXPECT_EQ(job.figures(1).pushes, 80u);
      EXPECT_EQ(job.figures(0).fenced, of_the_fenced);
      EXPECT_GT(job.figures(0).duplicates, 40u);
    }
  }
}

}  // namespace
}  // namespace trireme::test
