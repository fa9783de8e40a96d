// Expecting one of our errors: its exit code and what its message says.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exception>
#include <initializer_list>
#include <string>

#include "base/error.h"

namespace trireme::test {

// Runs `action`; fails unless it throws an Error of that code whose message has all of `parts`.
template <class Action>
void expect_error(ExitCode code, std::initializer_list<std::string> parts, const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(code)) << error.what();
    for (const std::string& part : parts) EXPECT_THAT(error.what(), testing::HasSubstr(part));
    return;
  } catch (const std::exception& error) {
    ADD_FAILURE() << "an exception of another kind: " << error.what();
    return;
  }
  ADD_FAILURE() << "nothing was thrown";
}

}  // namespace trireme::test
