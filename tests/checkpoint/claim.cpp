// One start at a time holds a run, and one that lost it commits nothing.
#include "checkpoint/claim.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "checkpoint/claim_fixture.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using test::Child;
using test::claim_options;
using test::message_of;
using test::put_text;
using test::Toucher;
using test::Variable;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class Claim : public test::ClaimTest {
 protected:
  // Takes a living claim away from its start, as if that were a silent one on another machine.
  void silence(const RunClaim& claim) const { put(foreign(claim.start())); }
  std::string refusal(const ClaimOptions& options = claim_options()) const {
    return message_of<ClaimError>([&] { RunClaim claim(checkpoints(), options); });
  }
};

TEST_F(Claim, TheFirstIsOneAndTheNextIsTwo) {
  {
    RunClaim claim(checkpoints(), claim_options());
    EXPECT_EQ(claim.start(), 1);
    EXPECT_EQ(claim.workshop(), checkpoints() / "start-0001");
    EXPECT_FALSE(read_holder(claim.workshop())->ended);
    put_text(claim.workshop() / "manifest.json", "half");
  }
  EXPECT_TRUE(read_holder(checkpoints() / "start-0001")->ended);
  RunClaim claim(checkpoints(), claim_options());
  EXPECT_EQ(claim.start(), 2);
  EXPECT_THAT(names(), ElementsAre("start-0002"));
  EXPECT_THAT(test::all_names(claim.workshop()), ElementsAre("holder.json"));
}

TEST_F(Claim, HolderSaysWhoItIs) {
  Variable job("SLURM_JOB_ID", "17"), step("SLURM_STEP_ID", "2"), count("SLURM_RESTART_COUNT", "1");
  RunClaim claim(checkpoints(), claim_options(30));
  auto object = nlohmann::json::parse(test::text_of(claim.workshop() / "holder.json"));
  EXPECT_EQ(object["start"], 1);
  EXPECT_EQ(object["pid"], ::getpid());
  EXPECT_EQ(object["slurm_job"], "17");
  EXPECT_EQ(object["slurm_step"], "2");
  EXPECT_EQ(object["slurm_restart_count"], "1");
  EXPECT_EQ(object["newest_step"], 30);
  EXPECT_FALSE(object["boot_id"].get<std::string>().empty());
  EXPECT_GT(object["process_start"], 0);
}

TEST_F(Claim, NumbersGoBeyondFourDigitsAndOtherNamesAreNone) {
  Holder former = foreign(9999);
  former.ended = true;
  put(former);
  for (const char* name : {"start-7", "start-99999x", "start-00012345", "start-", "step-0000000010"}) {
    fs::create_directory(checkpoints() / name);
  }
  { EXPECT_EQ(RunClaim(checkpoints(), claim_options()).start(), 10000); }
  EXPECT_EQ(RunClaim(checkpoints(), claim_options()).start(), 10001);
  EXPECT_EQ(names().size(), 6u) << "and what is not a start stays";
}

// A server that was taken for dead may stand still for a while: whoever succeeds it knows its start's number.
TEST_F(Claim, OfANamedStartIsSucceededThoughItLives) {
  EXPECT_EQ(newest_start(checkpoints()), 0);
  RunClaim frozen(checkpoints(), claim_options());
  EXPECT_EQ(newest_start(checkpoints()), 1);
  ClaimOptions options = claim_options();
  options.succeeds = 2;
  EXPECT_THAT(refusal(options), HasSubstr("start 1")) << "another start than the one it succeeds";
  options.succeeds = 1;
  RunClaim successor(checkpoints(), options);
  EXPECT_EQ(successor.start(), 2);
  EXPECT_THAT(message_of<ClaimError>([&] { require_workshop(frozen.workshop()); }), HasSubstr("taken over"));
  EXPECT_THAT(refusal(options), HasSubstr("start 2")) << "only once";
}

TEST_F(Claim, IsRefusedWhileAnotherLivesInThisProcess) {
  Variable job("SLURM_JOB_ID", "17");
  RunClaim claim(checkpoints(), claim_options());
  EXPECT_THAT(refusal(), AllOf(HasSubstr("start 1"), HasSubstr("job 17"), HasSubstr(own_holder().host),
                               HasSubstr(std::to_string(::getpid())), HasSubstr("--run-dir")));
  EXPECT_THAT(names(), ElementsAre("start-0001"));
}

TEST_F(Claim, IsRefusedWhileAnotherProcessLivesAndTakenOverOnceItIsKilled) {
  Child child([this] {
    new RunClaim(checkpoints(), claim_options());  // never destroyed: this process is to be killed
  });
  ASSERT_TRUE(child.ready());
  ClaimOptions patient = claim_options();
  patient.silence_seconds = 1e9;  // a wait would be for ever
  EXPECT_THAT(refusal(patient), HasSubstr(std::to_string(child.pid())));
  ::kill(child.pid(), SIGSTOP);
  EXPECT_NE(refusal(patient), "") << "a stopped process lives";
  child.kill();
  RunClaim claim(checkpoints(), patient);
  EXPECT_EQ(claim.start(), 2) << "a zombie is dead";
  child.reap();
}

TEST_F(Claim, IsTakenFromAProcessWhosePidIsAnothersByNow) {
  Holder former = own_holder();
  former.start = 1;
  former.process_start += 1;
  put(former);
  ClaimOptions patient = claim_options();
  patient.silence_seconds = 1e9;
  EXPECT_EQ(RunClaim(checkpoints(), patient).start(), 2);
}

TEST_F(Claim, AFencedStartCommitsNothing) {
  RunClaim first(checkpoints(), claim_options());
  fs::create_directory(checkpoints() / "step-0000000010");
  fs::path target = checkpoints() / "step-0000000010" / "manifest.json";
  put_text(first.workshop() / "manifest.json", "first");
  silence(first);
  {
    RunClaim second(checkpoints(), claim_options());
    EXPECT_EQ(second.start(), 2);
    EXPECT_THAT(message_of<ClaimError>([&] {
                  commit_from_workshop(first.workshop(), first.workshop() / "manifest.json", target);
                }),
                AllOf(HasSubstr("start 2"), HasSubstr(std::to_string(::getpid()))));
    EXPECT_FALSE(fs::exists(target));
    put_text(second.workshop() / "manifest.json", "second");
    commit_from_workshop(second.workshop(), second.workshop() / "manifest.json", target);
  }
  EXPECT_EQ(test::text_of(target), "second");
  EXPECT_THAT(names(), ElementsAre("start-0002", "step-0000000010")) << "what was fenced is gone for good";
}

TEST_F(Claim, AFencedStartLeavesNoWordInTheNextOnesPlace) {
  auto first = std::make_unique<RunClaim>(checkpoints(), claim_options());
  silence(*first);
  RunClaim second(checkpoints(), claim_options());
  first.reset();
  EXPECT_THAT(names(), ElementsAre("start-0002"));
  EXPECT_FALSE(read_holder(second.workshop())->ended);
}

TEST_F(Claim, ACommitThatFailsOtherwiseIsAnIoError) {
  RunClaim claim(checkpoints(), claim_options());
  fs::path missing = claim.workshop() / "manifest.json";
  EXPECT_NE(message_of<IoError>(
                [&] { commit_from_workshop(claim.workshop(), missing, checkpoints() / "manifest.json"); }),
            "");
  put_text(missing, "there");
  EXPECT_NE(message_of<IoError>([&] {
              commit_from_workshop(claim.workshop(), missing, checkpoints() / "none" / "manifest.json");
            }),
            "");
  EXPECT_TRUE(fs::exists(missing));
}

TEST_F(Claim, NewestStepIsAskedForOnceNobodyElseCanCommit) {
  Holder former = foreign(3);
  put_text(put(former) / "manifest.json", "in flight");
  ClaimOptions options = claim_options();
  options.newest_step = [this] {
    EXPECT_THAT(names(), ElementsAre("start-0004"));
    EXPECT_THAT(test::all_names(checkpoints() / "start-0004"), ElementsAre("holder.json"));
    return 5;
  };
  RunClaim claim(checkpoints(), options);
  EXPECT_EQ(read_holder(claim.workshop())->newest_step, 5);
}

TEST_F(Claim, AStartThatFailsWhileItBeginsLeavesTheRunFree) {
  ClaimOptions options = claim_options();
  options.newest_step = []() -> int64_t { throw CheckpointError("damaged"); };
  EXPECT_EQ(message_of<CheckpointError>([&] { RunClaim claim(checkpoints(), options); }), "damaged");
  EXPECT_EQ(RunClaim(checkpoints(), claim_options()).start(), 2);
}

TEST_F(Claim, AnotherMachinesHeartbeatIsHeard) {
  fs::path start = put(foreign(1));
  ClaimOptions options = claim_options();
  options.silence_seconds = 60;
  std::string told;
  options.tell = [&](const std::string& text) { told += text; };
  {
    Toucher toucher(start / "holder.json");
    EXPECT_THAT(refusal(options), AllOf(HasSubstr("elsewhere"), HasSubstr("4711"), HasSubstr("in use by")));
  }
  EXPECT_THAT(told, HasSubstr("up to 60 s"));
  EXPECT_EQ(RunClaim(checkpoints(), claim_options()).start(), 2) << "it is silent now";
}

TEST_F(Claim, AnotherMachinesEndIsHeard) {
  fs::path start = put(foreign(1));
  ClaimOptions options = claim_options();
  options.silence_seconds = 60;
  std::thread ends;
  options.tell = [&](const std::string& text) {
    if (text.find("up to 60 s") == std::string::npos) return;
    ends = std::thread([&] { fs::rename(start / Holder::living_name, start / Holder::ended_name); });
  };
  int64_t number = 0;
  std::string failure =
      message_of<std::exception>([&] { number = RunClaim(checkpoints(), options).start(); });
  ends.join();
  EXPECT_EQ(number, 2) << failure;
}

TEST_F(Claim, AHolderThatCannotBeReadIsJudgedByItsHeartbeat) {
  for (const char* text : {"", "{\"start\": 1", "[]", "{\"start\": \"one\"}"}) {
    fs::path start = put(foreign(100));
    put_text(start / "holder.json", text);
    ClaimOptions options = claim_options();
    options.silence_seconds = 60;
    {
      Toucher toucher(start / "holder.json");
      EXPECT_THAT(refusal(options), HasSubstr("start-0100")) << text;
    }
    EXPECT_EQ(RunClaim(checkpoints(), claim_options()).start(), 101) << text;
    fs::remove_all(checkpoints());
  }
  fs::create_directories(checkpoints() / "start-0007");
  EXPECT_EQ(RunClaim(checkpoints(), claim_options()).start(), 8) << "none at all";
}

TEST_F(Claim, BeatsWhileItLooksForItsNewestStep) {
  ClaimOptions options = claim_options();
  options.heartbeat_seconds = 0.01;
  bool beaten = false;
  options.newest_step = [&]() -> int64_t {
    fs::path holder = checkpoints() / "start-0001" / "holder.json";
    auto first = fs::last_write_time(holder);
    for (int time = 0; time < 500 && !beaten; ++time) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      beaten = fs::last_write_time(holder) != first;
    }
    return -1;
  };
  RunClaim claim(checkpoints(), options);
  EXPECT_TRUE(beaten) << "verifying a large checkpoint takes longer than a contender waits";
}

}  // namespace
}  // namespace trireme
