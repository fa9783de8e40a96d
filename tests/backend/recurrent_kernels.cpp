// Steps of recurrences, every instruction set that this machine has, against scalar loops in float64: forward
// through the gates and backward through the transposed weights, for odd numbers of samples and units.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "backend/cpu/kernels/kernels.h"
#include "base/rng.h"

namespace trireme::cpu {
namespace {

class RecurrentKernels : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    set_ = find_kernels(GetParam());
    if (set_ == nullptr) GTEST_SKIP() << "this processor has no " << GetParam();
  }
  // Weights as panels; `gates` and strides as in PanelTask.
  std::vector<float> packed(const std::vector<float>& w, int64_t depth, int64_t units, int64_t depth_stride,
                            int64_t unit_stride, int64_t gate_stride, bool gates) const {
    std::vector<float> panels(static_cast<size_t>(panel_floats(units, depth, set_->lanes, gates)), 42.0f);
    set_->pack_panels({w.data(), ElementType::float32, panels.data(), depth, units, depth_stride, unit_stride,
                       gate_stride, gates});
    return panels;
  }
  const KernelSet* set_ = nullptr;
};
INSTANTIATE_TEST_SUITE_P(Sets, RecurrentKernels, testing::Values("plain", "avx2", "avx512"));

std::vector<float> random(int64_t count, uint64_t seed) {
  RandomStream stream(seed, Purpose::test);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = stream.normal();
  return values;
}

double sigmoid(double a) { return 1 / (1 + std::exp(-a)); }
size_t at(int64_t i) { return static_cast<size_t>(i); }

TEST_P(RecurrentKernels, LstmStep) {
  for (auto [rows, hidden] : {std::pair<int64_t, int64_t>{1, 1}, {5, 3}, {7, 16}, {13, 37}}) {
    auto gates = random(rows * 4 * hidden, 1), w = random(hidden * 4 * hidden, 2);
    auto h = random(rows * hidden, 3), c = random(rows * hidden, 4), state = c;
    auto panels = packed(w, hidden, hidden, 4 * hidden, 1, hidden, true);
    std::vector<float> activated(gates.size()), cells(c.size()), out(h.size() + 1, 42.0f), next(h.size());
    LstmTask task{};
    task.rows = rows;
    task.hidden = task.stride = hidden;
    task.type = ElementType::float32;
    task.panels = panels.data();
    task.previous = h.data();
    task.next = next.data();
    task.gates = gates.data();
    task.activated = activated.data();
    task.cells = cells.data();
    task.h = out.data();
    task.state = state.data();
    set_->lstm_step(task);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t k = 0; k < hidden; ++k) {
        double a[4];
        for (int64_t gate = 0; gate < 4; ++gate) {
          a[gate] = gates[at(r * 4 * hidden + gate * hidden + k)];
          for (int64_t j = 0; j < hidden; ++j) {
            a[gate] += double{h[at(r * hidden + j)]} * double{w[at(j * 4 * hidden + gate * hidden + k)]};
          }
        }
        double cell = sigmoid(a[1]) * double{c[at(r * hidden + k)]} + sigmoid(a[0]) * std::tanh(a[2]);
        EXPECT_NEAR(cells[at(r * hidden + k)], cell, 1e-5);
        EXPECT_EQ(state[at(r * hidden + k)], cells[at(r * hidden + k)]);
        EXPECT_NEAR(out[at(r * hidden + k)], sigmoid(a[3]) * std::tanh(cell), 1e-5);
        EXPECT_EQ(next[at(r * hidden + k)], out[at(r * hidden + k)]);
      }
    }
    EXPECT_EQ(out.back(), 42.0f);
  }
}

TEST_P(RecurrentKernels, RnnBackwardStep) {
  for (auto [rows, hidden] : {std::pair<int64_t, int64_t>{1, 1}, {5, 3}, {7, 64}, {13, 69}}) {
    auto dh = random(rows * hidden, 1), w = random(hidden * hidden, 2), later = random(rows * hidden, 3);
    auto h = random(rows * hidden, 4);
    auto panels = packed(w, hidden, hidden, 1, hidden, 0, false);
    std::vector<float> dpre(dh.size() + 1, 42.0f), next(dh.size());
    RnnBackwardTask task{};
    task.rows = rows;
    task.hidden = task.stride = hidden;
    task.type = ElementType::float32;
    task.panels = panels.data();
    task.previous = later.data();
    task.next = next.data();
    task.dh = dh.data();
    task.h = h.data();
    task.dpre = dpre.data();
    set_->rnn_backward_step(task);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t k = 0; k < hidden; ++k) {
        double sum = dh[at(r * hidden + k)], y = h[at(r * hidden + k)];
        for (int64_t j = 0; j < hidden; ++j)
          sum += double{later[at(r * hidden + j)]} * double{w[at(k * hidden + j)]};
        EXPECT_NEAR(dpre[at(r * hidden + k)], sum * (1 - y * y), 1e-4);
      }
    }
    EXPECT_EQ(dpre.back(), 42.0f);
  }
}

}  // namespace
}  // namespace trireme::cpu
