// What mailboxes and groups must do, whatever they are made of: called on every rank of a meeting.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "comm/collectives.h"
#include "comm/mailbox.h"

namespace trireme::test {

constexpr double generous_seconds = 60;

inline std::vector<int> everybody(const Meeting& meeting) {
  std::vector<int> ranks(static_cast<size_t>(meeting.size));
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

inline std::string next_text(Mailbox& mailbox, int* from = nullptr) {
  auto letter = mailbox.receive(generous_seconds);
  if (!letter) throw CommError("rank {}: no letter has come within {} s", mailbox.rank(), generous_seconds);
  if (from != nullptr) *from = letter->from;
  return letter->text;
}

// Everybody to everybody, oneself too, some letters longer than any buffer of MPI's.
inline void check_order(Meeting& meeting) {
  constexpr int letters = 300;
  auto mailbox = meeting.mailbox(1);
  EXPECT_EQ(mailbox->rank(), meeting.rank);
  EXPECT_EQ(mailbox->size(), meeting.size);
  auto text_of = [](int from, int to, int i) {
    std::string text = fmt::format("{} to {}: {} ", from, to, i);
    return text + std::string(i % 50 == 7 ? 200'000 : i % 3 == 0 ? 0 : 100, static_cast<char>('a' + i % 26));
  };
  for (int i = 0; i < letters; ++i) {
    for (int to = 0; to < meeting.size; ++to) mailbox->send(to, 1, text_of(meeting.rank, to, i));
  }
  std::vector<int> next(static_cast<size_t>(meeting.size), 0);
  for (int i = 0; i < letters * meeting.size; ++i) {
    int from = -1;
    std::string text = next_text(*mailbox, &from);
    ASSERT_TRUE(from >= 0 && from < meeting.size);
    ASSERT_EQ(text, text_of(from, meeting.rank, next[static_cast<size_t>(from)]++));
  }
  EXPECT_FALSE(mailbox->receive(0).has_value());
  auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(mailbox->receive(0.03).has_value());
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(29));
  meeting.groups->make(everybody(meeting))->barrier();  // letters of the next check come after this one's end
}

// Rank 0 has a thread that answers everybody, as a sweep's controller does. Returns the rank's median of the
// seconds from question to answer.
inline double check_controller(Meeting& meeting) {
  constexpr int rounds = 200;
  std::thread controller;
  std::string failure;
  if (meeting.rank == 0) {
    controller = std::thread([&, box = meeting.mailbox(0)] {
      try {
        for (int i = 0; i < rounds * meeting.size; ++i) {
          int from = -1;
          std::string text = next_text(*box, &from);
          box->send(from, 1, "answer to " + text);
        }
      } catch (const std::exception& error) {
        failure = error.what();
      }
    });
  }
  std::vector<double> seconds;
  {
    auto mailbox = meeting.mailbox(1);
    for (int i = 0; i < rounds; ++i) {
      auto start = std::chrono::steady_clock::now();
      mailbox->send(0, 0, std::to_string(i));
      int from = -1;
      std::string text = next_text(*mailbox, &from);
      seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
      EXPECT_EQ(from, 0);
      EXPECT_EQ(text, fmt::format("answer to {}", i));
      if (i % 20 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(3));
    }
  }
  if (controller.joinable()) controller.join();
  EXPECT_EQ(failure, "");
  meeting.groups->make(everybody(meeting))->barrier();
  std::nth_element(seconds.begin(), seconds.begin() + rounds / 2, seconds.end());
  return seconds[rounds / 2];
}

// Neighbours take from each other at the same time, each its own lengths; everybody from itself, too.
inline void check_pieces(Meeting& meeting, size_t largest) {
  auto mailbox = meeting.mailbox(1);
  auto content = [](int owner, size_t piece, size_t bytes) {
    std::vector<std::byte> values(bytes);
    for (size_t i = 0; i < bytes; ++i) {
      values[i] = static_cast<std::byte>((i * 31 + piece * 7 + static_cast<size_t>(owner) + (i >> 12)) & 255);
    }
    return values;
  };
  auto lengths = [&](int owner) {
    return std::vector<size_t>{1, largest - static_cast<size_t>(owner), 0, 4096, 1'000'003};
  };
  auto exchange = [&](int peer, int ticket) {
    std::vector<std::vector<std::byte>> mine, theirs;
    std::vector<std::span<const std::byte>> pieces;
    std::vector<std::span<std::byte>> room;
    for (size_t i = 0; i < 5; ++i) {
      mine.push_back(content(meeting.rank, i, lengths(meeting.rank)[i]));
      theirs.emplace_back(lengths(peer)[i]);
    }
    for (auto& piece : mine) pieces.emplace_back(piece);
    for (auto& piece : theirs) room.emplace_back(piece);
    auto posting = mailbox->post(peer, ticket, pieces);
    bool finished = false;
    mailbox->take(peer, ticket, room, [&] { finished = posting->done(); });
    for (size_t i = 0; i < 5; ++i) EXPECT_TRUE(theirs[i] == content(peer, i, lengths(peer)[i])) << i;
    auto start = std::chrono::steady_clock::now();
    while (!posting->done()) {
      ASSERT_LT(std::chrono::steady_clock::now() - start, std::chrono::duration<double>(generous_seconds));
      std::this_thread::yield();
    }
    EXPECT_TRUE(posting->done());
  };
  exchange(meeting.rank, 3);
  int peer = meeting.rank ^ 1;
  for (int round = 0; round < 3 && peer < meeting.size; ++round) exchange(peer, round);
  meeting.groups->make(everybody(meeting))->barrier();
}

// A posting whose poster does nothing but wait for letters gets through, and one that is dropped waits.
inline void check_posting_beside_letters(Meeting& meeting) {
  if (meeting.size > 1) {
    auto mailbox = meeting.mailbox(1);
    std::vector<std::byte> memory(3'000'000, static_cast<std::byte>(meeting.rank == 0 ? 5 : 0));
    if (meeting.rank == 0) {
      {
        auto posting = mailbox->post(1, 9, {memory});
        EXPECT_EQ(next_text(*mailbox), "got it");
      }
      memory.assign(memory.size(), std::byte{6});
      mailbox->post(1, 9, {memory});  // dropped at once
      memory.assign(memory.size(), std::byte{7});
    } else if (meeting.rank == 1) {
      auto is_all = [&](int value) {
        return std::all_of(memory.begin(), memory.end(), [&](std::byte b) { return b == std::byte(value); });
      };
      mailbox->take(0, 9, {memory}, {});
      EXPECT_TRUE(is_all(5));
      mailbox->send(0, 1, "got it");
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      mailbox->take(0, 9, {memory}, {});
      EXPECT_TRUE(is_all(6));
    }
  }
  meeting.groups->make(everybody(meeting))->barrier();
}

// Groups that overlap in time and in ranks, made while others work, with letters on the way.
inline void check_groups(Meeting& meeting) {
  EXPECT_EQ(meeting.groups->nodes().size(), static_cast<size_t>(meeting.size));
  auto mailbox = meeting.mailbox(1);
  std::vector<std::vector<int>> lists = {everybody(meeting)};
  if (meeting.size >= 2) lists.push_back({0, 1});
  if (meeting.size >= 4) lists.insert(lists.end(), {{2, 3}, {0, 2}, {1, 3}, {1, 2, 3}, {0, 3}, {1, 2}});
  if (meeting.size >= 8) lists.insert(lists.end(), {{4, 5, 6, 7}, {0, 2, 4, 6}, {1, 3, 5, 7}});
  lists.push_back(everybody(meeting));
  std::map<std::vector<int>, std::unique_ptr<Communicator>> kept;
  int sent = 0;
  for (int round = 0; round < 2; ++round) {
    for (const std::vector<int>& list : lists) {
      mailbox->send((meeting.rank + 1) % meeting.size, 1, "beside");
      ++sent;
      auto own = std::find(list.begin(), list.end(), meeting.rank);
      if (own == list.end()) continue;
      auto group = meeting.groups->make(list);
      ASSERT_EQ(group->size(), static_cast<int>(list.size()));
      ASSERT_EQ(group->rank(), own - list.begin());
      check_tree<float>(*group, 501);
      kept[list] = std::move(group);  // the one of the round before dies, on all its ranks
    }
  }
  for (auto& [list, group] : kept) check_same_bits<float>(*group, 1003);
  for (int i = 0; i < sent; ++i) EXPECT_EQ(next_text(*mailbox), "beside");
  auto alone = meeting.groups->make({meeting.rank});
  EXPECT_EQ(alone->name(), "self");
  EXPECT_THROW(meeting.groups->make({}), CommError);
  EXPECT_THROW(meeting.groups->make({meeting.rank, meeting.rank}), CommError);
  EXPECT_THROW(meeting.groups->make({meeting.rank, meeting.size}), CommError);
  EXPECT_THROW(meeting.groups->make({meeting.rank == 0 ? 1 : 0}), CommError);
  meeting.groups->make(everybody(meeting))->barrier();
}

inline void check_refusals(Meeting& meeting) {
  auto mailbox = meeting.mailbox(1);
  EXPECT_THROW(meeting.mailbox(1), CommError);  // its owner has it
  EXPECT_THROW(meeting.mailbox(-1), CommError);
  EXPECT_THROW(mailbox->send(meeting.size, 1, ""), CommError);
  EXPECT_THROW(mailbox->send(-1, 1, ""), CommError);
  EXPECT_THROW(mailbox->post(meeting.size, 0, {}), CommError);
  EXPECT_THROW(mailbox->post(meeting.rank, -1, {}), CommError);
  EXPECT_THROW(mailbox->take(-1, 0, {}, {}), CommError);
  mailbox.reset();
  meeting.mailbox(1);  // another owner may
}

inline void check_everything(Meeting& meeting, size_t largest_piece) {
  check_refusals(meeting);
  check_order(meeting);
  check_controller(meeting);
  check_pieces(meeting, largest_piece);
  check_posting_beside_letters(meeting);
  check_groups(meeting);
}

}  // namespace trireme::test
