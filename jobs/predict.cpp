// trireme-predict: what a trained network makes of data, text or noise.
#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "comm/run_main.h"
#include "comm/world.h"
#include "config/command_line.h"
#include "config/config.h"
#include "predict/continue_text.h"
#include "predict/predict.h"
#include "predict/sheet.h"
#include "train/comm_options.h"

namespace {

using namespace trireme;

const CommandSpec command{
    .program = "trireme-predict",
    .summary = "Predicts with a trained network: classes, numbers, text or images.",
    .options =
        {
            {"--run-dir", "DIR", "Where the run lives; default runs/<run.name>."},
            {"--data", "FILE", "The data set to predict for; default: the run's validation data."},
            {"--output", "FILE", "HDF5 file of the predictions; default DIR/predictions.h5."},
            {"--prompt", "TEXT", "Language models: continue this text."},
            {"--tokens", "N", "With --prompt: how many tokens to add; default 200."},
            {"--temperature", "X",
             "With --prompt: above 1 bolder, below 1 more careful; 0 takes the likeliest token always. "
             "Default 1."},
            {"--top-k", "K", "With --prompt: draw from the K likeliest tokens; default 0, from all."},
            {"--seed", "S",
             "With --prompt or --samples: another seed, another text or other images; default 1."},
            {"--samples", "N", "GANs: make N images."},
            {"--sheet", "FILE", "With --samples: the PNG file to write; default DIR/samples.png."},
            {"--quiet", "", "Print errors only (and the text of --prompt)."},
        },
    .description =
        "Loads the newest good checkpoint of the run directory; where the run keeps a moving average of its "
        "parameters, "
        "that. Without --prompt or --samples every sample of the data set is predicted, on as many ranks as "
        "there are, "
        "and the scores are printed, the speed of everything, and that of the forward passes alone. The file "
        "holds, a row a sample: /predictions and /probabilities "
        "(classes), "
        "/predictions (regression), or /loss and /perplexity (text). It does not depend on the number of "
        "ranks, given "
        "the same train.threads.",
    .examples =
        {"trireme-predict configs/fashion_cnn_quick.toml",
         "mpirun -n 2 trireme-predict my.toml --data data/new.h5 --output predictions.h5",
         "trireme-predict configs/bible_gpt.toml --prompt \"In the beginning\" --temperature 0.8 --top-k 20",
         "trireme-predict configs/fashion_gan.toml --samples 64 --sheet samples.png"},
    .files = {"DIR/predictions.h5  predictions for a data set", "DIR/samples.png  images of a GAN"},
};

template <class Number>
Number number_of(const CommandLine& line, std::string_view option, Number fallback, Number at_least,
                 std::string_view expected) {
  if (!line.has(option)) return fallback;
  std::string text = line.value(option);
  Number number{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || !(number >= at_least) ||
      number > Number(1e15)) {
    throw UsageError("{} {}: expected {}", option, text, expected);
  }
  return number;
}

// Options that would be passed over silently are refused.
void check_options(const CommandLine& line, const Config& config) {
  auto only_with = [&](std::string_view option, std::vector<std::string_view> partners) {
    if (!line.has(option)) return;
    for (std::string_view partner : partners) {
      if (line.has(partner)) return;
    }
    throw UsageError("{} goes with {} only", option, fmt::join(partners, " or "));
  };
  for (std::string_view option : {"--tokens", "--temperature", "--top-k"}) only_with(option, {"--prompt"});
  only_with("--seed", {"--prompt", "--samples"});
  only_with("--sheet", {"--samples"});
  for (std::string_view mode : {"--prompt", "--samples"}) {
    if (!line.has(mode)) continue;
    for (std::string_view other : {"--data", "--output", "--prompt", "--samples"}) {
      if (other != mode && line.has(other)) throw UsageError("{} does not go with {}", other, mode);
    }
  }
  bool gan = config.model.kind == "gan";
  if (gan && !line.has("--samples")) {
    throw UsageError("model.kind = \"gan\" makes images: use --samples N{}",
                     line.has("--prompt") ? ", not --prompt" : "");
  }
  if (!gan && line.has("--samples")) {
    throw UsageError("--samples is for model.kind = \"gan\"; this one is \"{}\"", config.model.kind);
  }
}

void warn(const std::string& message) { fmt::print(stderr, "trireme-predict: warning: {}\n", message); }

void continue_prompt(const CommandLine& line, const Config& config, const std::string& run_directory) {
  PromptOptions options;
  options.run_directory = run_directory;
  options.prompt = line.value("--prompt");
  options.tokens = number_of<int64_t>(line, "--tokens", 200, 1, "a whole number, 1 or more");
  options.temperature = number_of<double>(line, "--temperature", 1.0, 0.0, "a number, 0 or more");
  options.top_k = number_of<int64_t>(line, "--top-k", 0, 0, "a whole number, 0 for all tokens");
  options.seed = static_cast<uint64_t>(number_of<int64_t>(line, "--seed", 1, 0, "a whole number, 0 or more"));
  options.warn = warn;
  options.write = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  };
  continue_text(config, options);
  std::fputs("\n", stdout);
}

void make_samples(const CommandLine& line, const Config& config, const std::string& run_directory) {
  SheetOptions options;
  options.run_directory = run_directory;
  options.samples = number_of<int64_t>(line, "--samples", 64, 1, "a whole number, 1 or more");
  if (options.samples > 10000) throw UsageError("--samples {}: a sheet shows at most 10000", options.samples);
  options.seed = static_cast<uint64_t>(number_of<int64_t>(line, "--seed", 1, 0, "a whole number, 0 or more"));
  options.sheet = line.value("--sheet", run_directory + "/samples.png");
  options.warn = warn;
  SheetSize size = write_samples(config, options);
  if (!line.has("--quiet")) {
    fmt::print("{}: {} images in {} x {}, {} x {} pixels\n", options.sheet.string(), options.samples,
               size.columns, size.rows, size.width, size.height);
  }
}

void predict_data(const CommandLine& line, const Config& config, const std::string& run_directory,
                  World& world) {
  PredictOptions options;
  options.run_directory = run_directory;
  options.data = line.value("--data");
  options.output = line.value("--output", run_directory + "/predictions.h5");
  options.warn = warn;
  PredictScores scores = predict(config, world.communicator(), options);
  if (world.rank() != 0 || line.has("--quiet")) return;
  std::string text = fmt::format("loss {:.4f}", scores.loss);
  if (scores.accuracy) text += fmt::format(", accuracy {:.4f}", *scores.accuracy);
  if (scores.perplexity) text += fmt::format(", perplexity {:.4f}", *scores.perplexity);
  fmt::print("{} after step {}: {} over {} samples; {:.0f} samples/s on {} rank(s)\n", scores.data,
             scores.step, text, scores.samples, static_cast<double>(scores.samples) / scores.seconds,
             world.size());
  fmt::print("forward passes: {:.0f} samples/s a rank\n", scores.forward_samples_per_second);
  fmt::print("predictions in {}\n", options.output.string());
}

int body(int argc, char** argv) {
  CommandLine line = parse_command_line(command, argc, argv);
  if (!line.answer.empty()) {
    if (rank_from_environment() == 0) std::fputs(line.answer.c_str(), stdout);
    return static_cast<int>(ExitCode::done);
  }
  Config config = load_config(line.config, line.overrides);
  require_training_keys(config);
  check_options(line, config);
  // With --data the run's own validation data need not be there any more.
  if (line.has("--data")) config.data.validation.clear();
  check_files_exist(config);
  std::string run_directory = line.value("--run-dir", "runs/" + config.run.name);
  World world(comm_options(config.comm));
  if (line.has("--prompt")) {
    if (world.rank() == 0) continue_prompt(line, config, run_directory);
  } else if (line.has("--samples")) {
    if (world.rank() == 0) make_samples(line, config, run_directory);
  } else {
    predict_data(line, config, run_directory, world);
  }
  return static_cast<int>(ExitCode::done);
}

}  // namespace

int main(int argc, char** argv) { return run_main("trireme-predict", argc, argv, body); }
