// trireme-prepare: raw files to HDF5 data sets.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>

#include "comm/run_main.h"
#include "config/command_line.h"
#include "config/prepare_config.h"
#include "data/prepare.h"

namespace {

using namespace trireme;

CommandSpec command_spec() {
  return {
      .program = "trireme-prepare",
      .summary = "Turns raw data files into HDF5 data sets that trireme-train reads.",
      .config_reference = help_prepare_config(),
      .options = {{"--force", "", "Make every output anew, also where it is up to date."}},
      .description =
          "Each [[prepare.dataset]] of CONFIG.toml names raw files and the HDF5 file to write, checksummed. "
          "kind says "
          "what they are: idx (the MNIST family), text, csv, or images (PNG and JPEG in a folder for each "
          "class). Images "
          "become /images (N, H, W, C, uint8) and /labels, text becomes /tokens, tables become /features and "
          "/targets; "
          "class names, vocabulary, means and standard deviations are attributes.\n"
          "An output is written aside and renamed when it is whole. One that was made from the same files "
          "(by their "
          "SHA-256) is left alone, so running this again costs next to nothing.",
      .examples = {"trireme-prepare configs/prepare_fashion_mnist.toml",
                   "trireme-prepare my.toml --set 'prepare.dataset[0].output=data/my/train.h5' --force"},
  };
}

int body(int argc, char** argv) {
  CommandLine line = parse_command_line(command_spec(), argc, argv);
  if (!line.answer.empty()) {
    std::fputs(line.answer.c_str(), stdout);
    return 0;
  }
  PrepareConfig config = load_prepare_config(line.config, line.overrides);
  for (const PrepareDatasetConfig& dataset : config.dataset) {
    auto start = std::chrono::steady_clock::now();
    std::vector<PreparedFile> made = prepare(dataset, line.has("--force"));
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    for (const PreparedFile& file : made) {
      for (const std::string& warning : file.warnings)
        fmt::print(stderr, "trireme-prepare: warning: {}\n", warning);
      fmt::print("{}: {}; {} ({:.2f} s)\n", file.path.string(), file.summary,
                 file.up_to_date ? "is up to date" : "written", seconds);
    }
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return trireme::run_main("trireme-prepare", argc, argv, body); }
