// Samplers by name: a line each.
#include <array>

#include "base/error.h"
#include "sweep/samplers/samplers.h"

namespace trireme {
namespace {

struct SamplerRow {
  std::string_view name;
  std::unique_ptr<Sampler> (*make)(const SweepConfig&, const Space&);
};

constexpr auto kSamplers = std::to_array<SamplerRow>({
    {"grid", make_grid_sampler},
    {"random", make_random_sampler},
    {"sobol", make_sobol_sampler},
    {"tpe", make_tpe_sampler},
    {"gp", make_gp_sampler},
    {"cma_es", make_cma_es_sampler},
    {"evolution", make_evolution_sampler},
});

}  // namespace

std::unique_ptr<Sampler> make_sampler(const SweepConfig& config, const Space& space) {
  std::string names;
  for (const SamplerRow& row : kSamplers) {
    if (row.name == config.sweep.sampler) return row.make(config, space);
    names += (names.empty() ? "" : ", ") + std::string(row.name);
  }
  throw ConfigError("{}: sweep.sampler is \"{}\"; give one of: {}", config.where("sweep.sampler"),
                    config.sweep.sampler, names);
}

std::vector<std::string_view> sampler_names() {
  std::vector<std::string_view> names;
  for (const SamplerRow& row : kSamplers) names.push_back(row.name);
  return names;
}

}  // namespace trireme
