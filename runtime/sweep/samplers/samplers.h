// What registry.cpp makes samplers of: a function a file of this folder. Each throws ConfigError naming the
// key where the sampler cannot serve the space or the objectives.
#pragma once

#include <memory>

#include "sweep/sampler.h"

namespace trireme {

std::unique_ptr<Sampler> make_grid_sampler(const SweepConfig& config, const Space& space);
std::unique_ptr<Sampler> make_random_sampler(const SweepConfig& config, const Space& space);
std::unique_ptr<Sampler> make_sobol_sampler(const SweepConfig& config, const Space& space);
std::unique_ptr<Sampler> make_tpe_sampler(const SweepConfig& config, const Space& space);
std::unique_ptr<Sampler> make_gp_sampler(const SweepConfig& config, const Space& space);
std::unique_ptr<Sampler> make_cma_es_sampler(const SweepConfig& config, const Space& space);
std::unique_ptr<Sampler> make_evolution_sampler(const SweepConfig& config, const Space& space);

}  // namespace trireme
