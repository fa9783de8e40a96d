// trireme-prepare: raw files to HDF5 data sets.
#include <fmt/format.h>
#include <fmt/ranges.h>

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
          "Each [[prepare.dataset]] of CONFIG.toml names the raw files and the HDF5 file to write: /images "
          "(N, H, W, C, "
          "uint8) and /labels (N), checksummed, with each channel's mean and standard deviation (of pixel / "
          "255) and "
          "the classes' names as attributes of /images.\n"
          "An output is written aside and renamed when it is whole. One that was made from the same files "
          "(by their "
          "SHA-256) is left alone, so running this again costs next to nothing.",
      .examples = {"trireme-prepare configs/prepare_fashion_mnist.toml",
                   "trireme-prepare my.toml --set 'prepare.dataset[0].output=data/my/train.h5' --force"},
  };
}

int prepare(int argc, char** argv) {
  CommandLine line = parse_command_line(command_spec(), argc, argv);
  if (!line.answer.empty()) {
    std::fputs(line.answer.c_str(), stdout);
    return 0;
  }
  PrepareConfig config = load_prepare_config(line.config, line.overrides);
  for (const PrepareDatasetConfig& dataset : config.dataset) {
    auto start = std::chrono::steady_clock::now();
    PrepareResult result = prepare_idx(dataset, line.has("--force"));
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    fmt::print("{}: {} images of {}, {} classes, mean {:.4f}, std {:.4f}; {} ({:.2f} s)\n", dataset.output,
               result.images, fmt::join(result.image_shape, " x "), result.classes,
               fmt::join(result.mean, " "), fmt::join(result.standard_deviation, " "),
               result.up_to_date ? "is up to date" : "written", seconds);
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return trireme::run_main("trireme-prepare", argc, argv, prepare); }
