// Text, continued by a language model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace trireme {

struct PromptOptions {
  std::filesystem::path run_directory;
  std::string prompt;        // not empty
  int64_t tokens = 200;      // to add
  double temperature = 1.0;  // logits are divided by it; 0: always the likeliest token
  int64_t top_k = 0;         // draw from the so many likeliest; 0: from all
  uint64_t seed = 1;
  std::function<void(std::string_view)> write = {};  // told the prompt, then text as it comes
  std::function<void(const std::string&)> warn = {};
};

// The prompt and what follows it. Each token is drawn from what the model makes of the data.sequence_length
// tokens before it (fewer at the beginning); draw number i is a function of (seed, i) alone. One rank's work.
// UsageError: a prompt with characters that the training text has not, a model that is none of text; else as
// Network and open_datasets.
std::string continue_text(const Config& config, const PromptOptions& options);

// The token that is drawn at `uniform` in [0, 1) by softmax(logits / temperature) among the top_k likeliest
// (0: all). Of equal ones the smaller token counts as the likelier.
int32_t choose_token(const float* logits, int64_t vocabulary, double temperature, int64_t top_k,
                     double uniform);

}  // namespace trireme
