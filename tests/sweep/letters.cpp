// What a sweep's controller and workers tell each other, read back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/error.h"
#include "sweep/letters.h"

namespace trireme {
namespace {

using testing::ElementsAre;
using State = TrialEnd::State;

TEST(SweepLetters, read_back_as_they_were) {
  OrderLetter order;
  order.order = {.trial = 7,
                 .attempt = 2,
                 .config = "a = \"\\u00fc\"\n",
                 .run_directory = "runs/x",
                 .saves = false,
                 .keeps_state = true};
  order.ranks = {2, 3};
  order.group = 4;
  order.make_group = true;
  order.own_at = 1;
  order.own_ticket = 8;
  order.source = 5;
  order.source_at = 0;
  order.source_ticket = 9;
  std::string text = to_text(order);
  EXPECT_EQ(to_text(sweep_letter(text)), text);
  auto read = std::get<OrderLetter>(sweep_letter(text));
  EXPECT_EQ(read.order.config, order.order.config);
  EXPECT_THAT(read.ranks, ElementsAre(2, 3));
  EXPECT_EQ(read.source_ticket, 9);

  ReportLetter report{
      3, {.epoch = 2, .step = 20, .seconds = 0.1, .figures = {{"a", std::nan("")}, {"b", -HUGE_VAL}}}};
  auto figures = std::get<ReportLetter>(sweep_letter(to_text(report))).measure.figures;
  EXPECT_TRUE(std::isnan(figures.at("a")));
  EXPECT_EQ(figures.at("b"), -HUGE_VAL);

  for (const SweepLetter& letter : std::vector<SweepLetter>{
           ReadyLetter{}, AskedToStopLetter{}, StopLetter{}, ForgetLetter{3}, LeaveLetter{true, 70, "why"},
           GiveLetter{1, 2, 3, true}, StateLetter{1, 2, "a description"},
           VerdictLetter{4, {Verdict::Kind::pause, "rung"}},
           EndLetter{5, {State::failed, "bad \xff bytes", 3}, true, 1.5, 0.25}}) {
    std::string one = to_text(letter);
    EXPECT_EQ(to_text(sweep_letter(one)), one);
  }
  EXPECT_THROW(sweep_letter("{\"letter\": \"love\"}"), CommError);
  EXPECT_THROW(sweep_letter("{"), CommError);
  EXPECT_THROW(sweep_letter("{\"letter\": \"end\", \"trial\": 1}"), CommError);
}

}  // namespace
}  // namespace trireme
