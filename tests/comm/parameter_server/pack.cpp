// Small messages as bytes: what is packed comes back, and what a stranger sends is refused or understood,
// with memory in proportion to its bytes.
#include "comm/parameter_server/pack.h"

#include <gtest/gtest.h>

#include <random>

#include "comm/parameter_server/messages.h"

namespace trireme::test {
namespace {

std::vector<std::byte> some_bytes(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(count);
  for (std::byte& one : bytes) one = static_cast<std::byte>(random());
  return bytes;
}

Hello a_hello() {
  Hello hello{1, 2, 3, 4, 5, 6, 7, 8, "host", "space", {}, {10, -1}};
  hello.address = some_bytes(33, 1);
  return hello;
}
ShardMap a_map() { return {3, 1, {0, 1, 2}, {1, -1, 0}}; }
ServerCard a_card() { return {1, 2, 3, "host", "space", some_bytes(9, 2)}; }
ShardKey a_key() { return {1, 5, 4096, {0, 10, 12}, some_bytes(17, 3)}; }
PayloadHeader a_header() {
  PayloadHeader header;
  header.token = 9;
  header.kind = PayloadKind::forward;
  header.clock = -4;
  header.descriptor = 12;
  return header;
}

// One of each type; `check` is called with it.
template <class Check>
void each_message(Check check) {
  check(a_hello());
  check(a_card());
  check(a_map());
  check(Roster{a_map(), {a_card(), a_card()}});
  check(Welcome{1, 2, 3, 1, a_map()});
  check(a_key());
  check(Keys{2, {a_key(), a_key(), a_key()}});
  check(TicketAnswer{1, 2, 3});
  check(TicketReport{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, {1.5, -2}});
  check(Ack{1, 2, 3, Verdict::send_it, 4, 5});
  check(PullRequest{1, 2, {3, 4}});
  check(PullAnswer{1, 0, {2, 4}, {2, 6}});
  check(WorkerName{1, 2});
  check(EndOfJob{75, "text"});
  check(ClockOnly{7});
  check(ShardWindow{1, 2, some_bytes(24, 4)});
  check(a_header());
}

// The bytes say everything, so what packs to the same bytes is the same.
TEST(Pack, WhatIsPackedComesBack) {
  int types = 0;
  each_message([&](const auto& message) {
    auto bytes = packed(message);
    auto back = unpacked<std::decay_t<decltype(message)>>(bytes);
    EXPECT_EQ(packed(back), bytes) << types;
    ++types;
  });
  EXPECT_EQ(types, 17);
  auto hello = unpacked<Hello>(packed(a_hello()));
  EXPECT_EQ(hello.incarnation, 5);
  EXPECT_EQ(hello.space, "space");
  EXPECT_EQ(hello.address, some_bytes(33, 1));
  EXPECT_EQ(hello.outstanding, (std::vector<int64_t>{10, -1}));
  EXPECT_EQ(unpacked<Keys>(packed(Keys{2, {a_key()}})).shards.at(0).bounds,
            (std::vector<uint64_t>{0, 10, 12}));
  EXPECT_EQ(unpacked<PayloadHeader>(packed(a_header())).clock, -4);
}

TEST(Pack, ACutOrLongerMessageIsRefused) {
  each_message([](const auto& message) {
    using Message = std::decay_t<decltype(message)>;
    auto bytes = packed(message);
    for (size_t length = 0; length < bytes.size(); ++length)
      EXPECT_THROW(unpacked<Message>(std::span(bytes).first(length)), CommError) << length;
    bytes.push_back(std::byte{0});
    EXPECT_THROW(unpacked<Message>(bytes), CommError);
  });
}

// Every four bytes in turn claim to be a great length.
TEST(Pack, LengthsThatLieAreRefusedOrAreNoLengths) {
  each_message([](const auto& message) {
    using Message = std::decay_t<decltype(message)>;
    auto good = packed(message);
    for (uint32_t lie : {UINT32_MAX, uint32_t{1} << 31, uint32_t{1} << 20, uint32_t{0}}) {
      for (size_t at = 0; at + sizeof lie <= good.size(); ++at) {
        auto bytes = good;
        std::memcpy(bytes.data() + at, &lie, sizeof lie);
        try {
          EXPECT_EQ(packed(unpacked<Message>(bytes)).size(), bytes.size());
        } catch (const CommError&) {
        }
      }
    }
  });
}

TEST(Pack, RandomBytesAreRefusedOrUnderstood) {
  for (unsigned seed = 0; seed < 2000; ++seed) {
    each_message([seed](const auto& message) {
      auto bytes = some_bytes(seed % 150, seed);
      // Lengths that are small, too.
      for (size_t i = 0; i < bytes.size(); ++i)
        if (i % 4 != 0 && seed % 2 == 0) bytes[i] = std::byte{0};
      try {
        EXPECT_EQ(packed(unpacked<std::decay_t<decltype(message)>>(bytes)).size(), bytes.size());
      } catch (const CommError&) {
      }
    });
  }
}

// A million elements of 150 bytes each are claimed by a million bytes: memory is taken as elements come.
TEST(Pack, AListTakesNoMoreThanItsBytesAreWorth) {
  Packer packer;
  packer(a_map(), uint32_t{1000000});
  packer.bytes.resize(packer.bytes.size() + 1000000, std::byte{0xff});
  Roster roster;
  Unpacker unpacker(packer.bytes);
  EXPECT_THROW(unpacker(roster), CommError);
  EXPECT_LT(roster.servers.capacity(), 1000u);
}

}  // namespace
}  // namespace trireme::test
