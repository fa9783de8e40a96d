#include "predict/continue_text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/rng.h"
#include "comm/communicator.h"
#include "data/dataset.h"
#include "data/tokenizer.h"
#include "predict/network.h"

namespace trireme {
namespace {

// Decoded text, handed on as far as it can no longer change: a token may be half a character.
class TextWriter {
 public:
  TextWriter(const Tokenizer& tokenizer, const std::function<void(std::string_view)>& write)
      : tokenizer_(tokenizer), write_(write) {}

  void add(int32_t token) {
    waiting_.push_back(token);
    std::string text = tokenizer_.decode(waiting_);
    // At most four bytes make a character; longer ones are broken and stay so.
    bool half = tokenizer_.encoding() == "bytes" ? first_invalid_utf8(text).has_value()
                                                 : text.ends_with("\xEF\xBF\xBD");
    if (!half || waiting_.size() >= 4) flush();
  }
  void flush() {
    if (waiting_.empty()) return;
    std::string text = tokenizer_.decode(waiting_);
    waiting_.clear();
    text_ += text;
    if (write_) write_(text);
  }
  void add_prompt(const std::string& prompt) {
    text_ += prompt;
    if (write_) write_(prompt);
  }
  const std::string& text() const { return text_; }

 private:
  const Tokenizer& tokenizer_;
  const std::function<void(std::string_view)>& write_;
  std::vector<int32_t> waiting_;
  std::string text_;
};

std::vector<int32_t> encode_prompt(const Tokenizer& tokenizer, const std::string& prompt,
                                   const std::string& path) {
  std::vector<int32_t> tokens;
  if (auto fault = tokenizer.append(prompt, tokens)) {
    throw UsageError("--prompt, byte {}: {}; the model knows what is in {} only", fault->byte + 1,
                     fault->what, path);
  }
  if (tokens.empty()) throw UsageError("--prompt is empty; give it a character at least");
  return tokens;
}

}  // namespace

int32_t choose_token(const float* logits, int64_t vocabulary, double temperature, int64_t top_k,
                     double uniform) {
  if (temperature == 0) return static_cast<int32_t>(std::max_element(logits, logits + vocabulary) - logits);
  std::vector<int32_t> order(static_cast<size_t>(vocabulary));
  std::iota(order.begin(), order.end(), 0);
  if (top_k > 0 && top_k < vocabulary) {
    std::partial_sort(order.begin(), order.begin() + top_k, order.end(), [&](int32_t a, int32_t b) {
      return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
    });
    order.resize(static_cast<size_t>(top_k));
  }
  double largest = logits[order[0]];
  for (int32_t token : order) largest = std::max<double>(largest, logits[token]);
  std::vector<double> ends;
  double sum = 0;
  for (int32_t token : order) ends.push_back(sum += std::exp((logits[token] - largest) / temperature));
  auto found = std::upper_bound(ends.begin(), ends.end(), uniform * sum);
  return order[std::min(static_cast<size_t>(found - ends.begin()), order.size() - 1)];
}

std::string continue_text(const Config& config, const PromptOptions& options) {
  Datasets data = open_datasets(config.data);
  const SampleShape sample = data.training->sample_shape();
  const std::string path = data.training->path().string();
  if (sample.kind != SampleKind::text) {
    throw UsageError("--prompt is for language models, but {} holds no text ({})", path,
                     data.training->description());
  }
  Tokenizer tokenizer(path);
  std::vector<int32_t> tokens = encode_prompt(tokenizer, options.prompt, path);
  auto alone = make_self_communicator();
  // One window is little work: where cores are shared, threads wait for each other longer than they save.
  Config narrow = config;
  if (narrow.train.threads == 0) narrow.train.threads = 1;
  Network network(narrow, sample, options.run_directory, *alone);
  if (options.warn) {
    for (const std::string& warning : network.warnings()) options.warn(warning);
  }
  Executor& executor = network.program(1);

  TextWriter writer(tokenizer, options.write);
  writer.add_prompt(options.prompt);
  const auto length = static_cast<size_t>(sample.length);
  std::vector<int32_t> window(length), unused(length, 0);
  std::vector<float> logits;
  for (int64_t i = 0; i < options.tokens; ++i) {
    // The last tokens from the window's beginning on; what stands behind them the model cannot see.
    size_t count = std::min(tokens.size(), length);
    std::fill(window.begin(), window.end(), 0);
    std::copy(tokens.end() - static_cast<ptrdiff_t>(count), tokens.end(), window.begin());
    std::array<const void*, 2> inputs{window.data(), unused.data()};
    executor.step(inputs, StepScalars{});
    read_result(executor, -1, logits);
    RandomStream draw(options.seed, Purpose::generate, static_cast<uint64_t>(i));
    int32_t token = choose_token(logits.data() + static_cast<int64_t>(count - 1) * sample.vocabulary,
                                 sample.vocabulary, options.temperature, options.top_k, draw.uniform());
    tokens.push_back(token);
    writer.add(token);
  }
  writer.flush();
  return writer.text();
}

}  // namespace trireme
