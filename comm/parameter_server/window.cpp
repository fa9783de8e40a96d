#include "comm/parameter_server/window.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/error.h"

namespace trireme {
namespace {

// A number of pieces that no job comes near: what a message may claim.
constexpr int32_t most_pieces = 1 << 16;

}  // namespace

TicketWindow::TicketWindow(int32_t pieces, int64_t first_clock)
    : pieces_(pieces),
      words_per_clock_((static_cast<size_t>(std::max(pieces, 0)) + 63) / 64),
      complete_(first_clock) {
  if (pieces < 1 || pieces > most_pieces)
    throw CommError("ticket window: {} pieces of a clock; 1 to {} are possible", pieces, most_pieces);
  if (first_clock < 0)
    throw CommError("ticket window: the first clock is {}; it cannot be negative", first_clock);
}

void TicketWindow::check(Ticket ticket) const {
  if (ticket.piece < 0 || ticket.piece >= pieces_)
    throw CommError(
        "ticket (clock {}, piece {}): a clock has pieces 0 to {}; do all processes run the same config?",
        ticket.clock, ticket.piece, pieces_ - 1);
  if (ticket.clock < 0 || ticket.clock - complete_ >= limit_clocks)
    throw CommError("ticket (clock {}, piece {}): too far from clock {}, up to which all is done",
                    ticket.clock, ticket.piece, complete_);
}

size_t TicketWindow::word_of(Ticket ticket) const {
  return static_cast<size_t>(ticket.clock - complete_) * words_per_clock_ +
         static_cast<size_t>(ticket.piece) / 64;
}

bool TicketWindow::contains(Ticket ticket) const {
  check(ticket);
  if (ticket.clock < complete_) return true;
  size_t word = word_of(ticket);
  return word < bits_.size() && (bits_[word] >> (ticket.piece % 64) & 1) != 0;
}

bool TicketWindow::add(Ticket ticket) {
  if (contains(ticket)) return false;
  size_t clocks = static_cast<size_t>(ticket.clock - complete_) + 1;
  if (bits_.size() < clocks * words_per_clock_) bits_.resize(clocks * words_per_clock_, 0);
  bits_[word_of(ticket)] |= uint64_t{1} << (ticket.piece % 64);
  settle();
  return true;
}

int64_t TicketWindow::end() const {
  return complete_ + static_cast<int64_t>(bits_.size() / words_per_clock_);
}

int32_t TicketWindow::count(int64_t clock) const {
  if (clock < complete_) return pieces_;
  if (clock >= end()) return 0;
  int32_t found = 0;
  size_t first = word_of({clock, 0});
  for (size_t w = 0; w < words_per_clock_; ++w) found += std::popcount(bits_[first + w]);
  return found;
}

void TicketWindow::settle() {
  while (!bits_.empty() && count(complete_) == pieces_) {
    bits_.erase(bits_.begin(), bits_.begin() + static_cast<std::ptrdiff_t>(words_per_clock_));
    ++complete_;
  }
  while (!bits_.empty() && count(end() - 1) == 0) bits_.resize(bits_.size() - words_per_clock_);
}

void TicketWindow::truncate(int64_t clock) {
  if (clock <= complete_) {
    complete_ = std::max<int64_t>(clock, 0);
    bits_.clear();
  } else if (clock < end()) {
    bits_.resize(static_cast<size_t>(clock - complete_) * words_per_clock_);
    settle();
  }
}

void TicketWindow::intersect(const TicketWindow& other) {
  if (other.pieces_ != pieces_)
    throw CommError("ticket windows of {} and of {} pieces a clock: do all processes run the same config?",
                    pieces_, other.pieces_);
  const TicketWindow& low = complete_ <= other.complete_ ? *this : other;
  const TicketWindow& high = complete_ <= other.complete_ ? other : *this;
  TicketWindow both = low;
  for (int64_t clock = high.complete_; clock < both.end(); ++clock) {
    bool known = clock < high.end();
    for (size_t w = 0; w < words_per_clock_; ++w) {
      uint64_t other_bits = known ? high.bits_[high.word_of({clock, 0}) + w] : 0;
      both.bits_[both.word_of({clock, 0}) + w] &= other_bits;
    }
  }
  both.settle();
  *this = std::move(both);
}

namespace {

struct Header {
  int64_t pieces;
  int64_t complete;
};

}  // namespace

std::vector<std::byte> TicketWindow::to_bytes() const {
  std::vector<std::byte> bytes(sizeof(Header) + bits_.size() * sizeof(uint64_t));
  Header header{pieces_, complete_};
  std::memcpy(bytes.data(), &header, sizeof header);
  std::vector<uint64_t> words(bits_.begin(), bits_.end());
  if (!words.empty())
    std::memcpy(bytes.data() + sizeof header, words.data(), words.size() * sizeof(uint64_t));
  return bytes;
}

TicketWindow TicketWindow::from_bytes(std::span<const std::byte> bytes) {
  Header header{};
  if (bytes.size() < sizeof header || (bytes.size() - sizeof header) % sizeof(uint64_t) != 0)
    throw CommError("ticket window: a message of {} bytes cannot hold one", bytes.size());
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.pieces < 1 || header.pieces > most_pieces)
    throw CommError("ticket window: a message claims {} pieces of a clock", header.pieces);
  TicketWindow window(static_cast<int32_t>(header.pieces), header.complete);
  std::vector<uint64_t> words((bytes.size() - sizeof header) / sizeof(uint64_t));
  if (!words.empty())
    std::memcpy(words.data(), bytes.data() + sizeof header, words.size() * sizeof(uint64_t));
  const size_t per_clock = window.words_per_clock_;
  const uint64_t last_word =
      window.pieces_ % 64 == 0 ? ~uint64_t{0} : (uint64_t{1} << (window.pieces_ % 64)) - 1;
  bool possible = words.size() % per_clock == 0 &&
                  words.size() / per_clock <= static_cast<size_t>(limit_clocks) &&
                  header.complete <= INT64_MAX / most_pieces - limit_clocks;
  for (size_t w = per_clock - 1; possible && w < words.size(); w += per_clock)
    possible = (words[w] & ~last_word) == 0;
  if (!possible) throw CommError("ticket window: a message with bits for pieces or clocks that cannot be");
  window.bits_.assign(words.begin(), words.end());
  window.settle();
  return window;
}

}  // namespace trireme
