// The window of applied tickets beside a std::set that does the same, slowly.
#include "comm/parameter_server/window.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "base/error.h"

namespace trireme {
namespace {

// All tickets of clocks below first_clock, and those in `in`.
struct Reference {
  int32_t pieces;
  int64_t first_clock;
  std::set<int64_t> in{};

  bool contains(Ticket t) const { return t.clock < first_clock || in.contains(t.number(pieces)); }
  int64_t complete() const {
    int64_t clock = first_clock;
    while (count(clock) == pieces) ++clock;
    return clock;
  }
  int32_t count(int64_t clock) const {
    int32_t found = 0;
    for (int32_t p = 0; p < pieces; ++p) found += contains({clock, p}) ? 1 : 0;
    return found;
  }
  int64_t end() const { return in.empty() ? first_clock : std::max(first_clock, *in.rbegin() / pieces + 1); }
};

void expect_same(const TicketWindow& window, const Reference& reference, int64_t clocks) {
  ASSERT_EQ(window.complete(), reference.complete());
  ASSERT_EQ(window.end(), std::max(reference.end(), reference.complete()));
  for (int64_t c = 0; c < clocks; ++c) {
    ASSERT_EQ(window.count(c), reference.count(c)) << c;
    for (int32_t p = 0; p < window.pieces(); ++p)
      ASSERT_EQ(window.contains({c, p}), reference.contains({c, p})) << c << " " << p;
  }
}

// Adds random tickets, lower ones more often, so that the window moves.
void fill(TicketWindow& window, Reference& reference, std::mt19937& random, int64_t clocks, int steps) {
  for (int i = 0; i < steps; ++i) {
    int64_t low = window.complete();
    Ticket ticket{std::min<int64_t>(clocks - 1, low + static_cast<int64_t>(random() % 5)),
                  static_cast<int32_t>(random() % static_cast<uint32_t>(window.pieces()))};
    bool is_new = !reference.contains(ticket);
    if (is_new) reference.in.insert(ticket.number(window.pieces()));
    ASSERT_EQ(window.add(ticket), is_new);
    ASSERT_FALSE(window.add(ticket));
  }
}

TEST(TicketWindow, HoldsWhatASetHolds) {
  for (int32_t pieces : {1, 2, 3, 63, 64, 65, 130}) {
    std::mt19937 random(static_cast<uint32_t>(pieces));
    for (int64_t first : {0, 7}) {
      TicketWindow window(pieces, first);
      Reference reference{pieces, first};
      for (int round = 0; round < 10; ++round) {
        fill(window, reference, random, 40, 5 * pieces);
        expect_same(window, reference, 45);
      }
      EXPECT_GT(window.complete(), first) << "the test does not move the window";
    }
  }
}

TEST(TicketWindow, TravelsAsBytes) {
  for (int32_t pieces : {1, 3, 64, 65}) {
    std::mt19937 random(5);
    TicketWindow window(pieces, 3);
    Reference reference{pieces, 3};
    fill(window, reference, random, 40, 7 * pieces);
    std::vector<std::byte> bytes = window.to_bytes();
    EXPECT_EQ(TicketWindow::from_bytes(bytes), window);
    EXPECT_THROW(TicketWindow::from_bytes({}), CommError);
    EXPECT_THROW(TicketWindow::from_bytes(std::span(bytes).first(bytes.size() - 1)), CommError);
    bytes[0] = bytes[3] = std::byte{0xff};
    EXPECT_THROW(TicketWindow::from_bytes(bytes), CommError);
  }
  TicketWindow three(3, 0);
  three.add({0, 2});
  std::vector<std::byte> bytes = three.to_bytes();
  bytes[16] |= std::byte{8};  // a fourth piece
  EXPECT_THROW(TicketWindow::from_bytes(bytes), CommError);
}

TEST(TicketWindow, ForgetsFromAClockOn) {
  std::mt19937 random(11);
  for (int64_t clock : {0, 2, 4, 9, 14, 50}) {
    TicketWindow window(3, 1);
    Reference reference{3, 1};
    fill(window, reference, random, 40, 30);
    window.truncate(clock);
    reference.in.erase(reference.in.lower_bound(clock * 3), reference.in.end());
    reference.first_clock = std::min(reference.first_clock, clock);
    expect_same(window, reference, 45);
    fill(window, reference, random, 40, 30);
    expect_same(window, reference, 45);
  }
}

TEST(TicketWindow, KeepsWhatAllHave) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    TicketWindow a(3, 1), b(3, seed % 3);
    Reference in_a{3, 1}, in_b{3, seed % 3};
    fill(a, in_a, random, 40, 10 + static_cast<int>(random() % 60));
    fill(b, in_b, random, 40, 10 + static_cast<int>(random() % 60));
    a.intersect(b);
    Reference both{3, std::min(in_a.first_clock, in_b.first_clock)};
    for (int64_t n = 0; n < 150; ++n) {
      Ticket ticket = Ticket::numbered(n, 3);
      if (in_a.contains(ticket) && in_b.contains(ticket)) both.in.insert(n);
    }
    expect_same(a, both, 45);
  }
  TicketWindow three(3, 0), four(4, 0);
  EXPECT_THROW(three.intersect(four), CommError);
}

TEST(TicketWindow, RefusesWhatCannotBe) {
  TicketWindow window(3, 5);
  EXPECT_TRUE(window.contains({4, 0}));
  EXPECT_THROW(window.add({5, 3}), CommError);
  EXPECT_THROW(window.add({5, -1}), CommError);
  EXPECT_THROW(window.add({-1, 0}), CommError);
  EXPECT_THROW(window.add({INT64_MAX, 0}), CommError);
  EXPECT_THROW(window.add({5 + TicketWindow::limit_clocks, 0}), CommError);
  EXPECT_THROW(TicketWindow(0, 0), CommError);
  EXPECT_THROW(TicketWindow(1, -1), CommError);
  EXPECT_EQ(window, TicketWindow(3, 5));
}

}  // namespace
}  // namespace trireme
