// What a worker tells of a piece beside times: TicketReport::figures in words.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace trireme {

// Losses are this piece's shares of the global batch's mean (easgd: of the mean over the round's steps too),
// so that the pieces' sum is the batch's.
struct PieceFigures {
  double samples = 0;
  double loss = 0;
  double learning_rate = 0;  // easgd, where workers apply it; else the servers' and not told
  double data_seconds = 0;   // waiting for the loader
  double gradient_norm = 0;  // of the piece's mean; 0 where it is not taken
  double loss_scale = 0;     // float16; else 0
  double skipped = 0;        // 1: float16 gradients overflowed, and nothing was pushed
  std::optional<double> generator_loss, discriminator_loss;
};

std::vector<double> to_numbers(const PieceFigures& figures);
// Of what to_numbers() gave; nothing where it is too short (another version's).
std::optional<PieceFigures> figures_of(std::span<const double> numbers);

}  // namespace trireme
