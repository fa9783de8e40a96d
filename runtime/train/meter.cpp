#include "train/meter.h"

namespace trireme {

void StepMeter::Sums::add(const StepTimes& times, int64_t count) {
  steps += 1;
  samples += count;
  whole += times.whole;
  data += times.data;
  exchange += times.exchange;
  hidden += times.hidden;
}

void StepMeter::add(const StepTimes& times, int64_t samples) {
  all_.add(times, samples);
  since_.add(times, samples);
}

void StepMeter::fill(TrainRecord& record) const {
  auto steps = static_cast<double>(since_.steps);
  record.samples_per_second = since_.whole > 0 ? static_cast<double>(since_.samples) / since_.whole : 0;
  record.data_seconds = since_.data / steps;
  record.exchange_seconds = since_.exchange / steps;
  record.exchange_hidden_seconds = since_.hidden / steps;
  record.compute_seconds = (since_.whole - since_.data - since_.exchange) / steps;
  record.checkpoint_seconds = since_.checkpoint / steps;
}

double StepMeter::samples_per_second() const {
  return all_.whole > 0 ? static_cast<double>(all_.samples) / all_.whole : 0;
}

}  // namespace trireme
