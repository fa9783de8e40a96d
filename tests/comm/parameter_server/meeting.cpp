// Files that lie where a job's processes look for each other: who finds one waits, and then says what is
// wrong.
#include "comm/parameter_server/meeting.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

#include "comm/parameter_server/hostile_fixture.h"

namespace trireme::test {
namespace {

using testing::HasSubstr;

std::string client_fails(const std::filesystem::path& file, const std::string& job) {
  ClientOptions options;
  options.meeting = file;
  options.job = job;
  options.start_seconds = 0.3;
  options.lease_seconds = 0.5;
  std::vector<float> values(ServedJob::layout(0).size());
  try {
    ParameterServerClient client(options, {{ServedJob::layout(0), {std::span<float>(values)}}});
  } catch (const CommError& error) {
    return error.what();
  }
  return "it has joined";
}

// Server 1 of 2: it looks for server 0.
std::string server_fails(const std::filesystem::path& file) {
  ServerOptions options;
  options.meeting = file;
  options.job = "job";
  options.server = 1;
  options.servers = 2;
  options.coordinator.end_clock = 1;
  options.start_seconds = 0.3;
  SumRules rules;
  HostedShard shard;
  shard.shard = 1;
  shard.layout = ServedJob::layout(1);
  shard.rules = &rules;
  shard.start_values = [](std::span<float>) {};
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<EndOfJob> end;
  ServerEvents events;
  events.next_cut = [](int64_t) { return int64_t{1}; };
  events.end = [&](const EndOfJob& how) {
    std::lock_guard lock(mutex);
    end = how;
    changed.notify_all();
  };
  std::vector<HostedShard> shards;
  shards.push_back(std::move(shard));
  ParameterServer server(options, std::move(shards), events);
  std::unique_lock lock(mutex);
  changed.wait_for(lock, std::chrono::seconds(hostile_limit), [&] { return end.has_value(); });
  if (!end) return "it waits for ever";
  EXPECT_EQ(end->code, 70);
  return end->text;
}

void write(const std::filesystem::path& file, const std::string& text) { std::ofstream(file) << text; }

// Of servers that have died: their addresses were good.
ServerMeeting of_the_dead() {
  ServerMeeting meeting;
  meeting.job = "job";
  meeting.session = 7;
  meeting.ready = true;
  meeting.pieces = 1;
  meeting.shards = 1;
  UcxContext context({.transports = ucx_transports("")});
  UcxWorker worker(context);
  meeting.servers.push_back({0, 8, 1 << 30, "nowhere", "", worker.address()});
  return meeting;
}

TEST(ServerMeeting, WhatIsWrittenComesBack) {
  TemporaryFolder folder;
  ServerMeeting meeting = of_the_dead();
  meeting.end = {75, "text \xff\n\""};
  write_meeting(folder / "meeting", meeting);
  auto back = read_meeting(folder / "meeting");
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->session, 7u);
  EXPECT_EQ(back->servers.at(0).address, meeting.servers.at(0).address);
  EXPECT_EQ(back->end.code, 75);
}

TEST(ServerMeeting, WhatIsCutOrChangedIsNoneOrUnderstood) {
  TemporaryFolder folder;
  write_meeting(folder / "meeting", of_the_dead());
  std::ifstream file(folder / "meeting");
  std::string text(std::istreambuf_iterator<char>(file), {});
  size_t whole = text.find_last_of('}');
  for (size_t length = 0; length <= whole; length += 7) {
    write(folder / "cut", text.substr(0, length));
    EXPECT_FALSE(read_meeting(folder / "cut").has_value()) << length;
  }
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    std::string changed = text;
    changed[random() % whole] = static_cast<char>(random());
    write(folder / "changed", changed);
    EXPECT_NO_THROW(read_meeting(folder / "changed"));
  }
  for (const char* address : {"", "0", "0g", "-1", "xyzw"}) {
    size_t begin = text.find("\"address\": \"") + 12;
    std::string changed = text;
    changed.replace(begin, changed.find('"', begin) - begin, address);
    write(folder / "changed", changed);
    EXPECT_FALSE(read_meeting(folder / "changed").has_value()) << address;
  }
}

TEST(ServerMeeting, WhoFindsNothingOfUseSaysWhatThereIs) {
  TemporaryFolder folder;
  auto expect = [&](const std::filesystem::path& file, const char* what) {
    EXPECT_THAT(client_fails(file, "job"), HasSubstr(what));
    EXPECT_THAT(client_fails(file, "job"), HasSubstr(file.string()));
    EXPECT_THAT(server_fails(file), HasSubstr(what));
  };
  expect(folder / "none", "there is no such file");
  write(folder / "empty", "");
  expect(folder / "empty", "torn");
  write(folder / "other", "{\"version\": 2}");
  expect(folder / "other", "another version");
  std::filesystem::create_directory(folder / "folder");
  EXPECT_THAT(client_fails(folder / "folder", "job"), HasSubstr("it is no file"));
  EXPECT_THAT(server_fails(folder / "folder"), HasSubstr("it is no file"));
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(client_fails(folder / "pipe", "job"), HasSubstr("it is no file"));
  ServerMeeting meeting = of_the_dead();
  write_meeting(folder / "dead", meeting);
  expect(folder / "dead", "do not answer");
  EXPECT_THAT(client_fails(folder / "dead", ""), HasSubstr("do not answer"));
  meeting.job = "another";
  write_meeting(folder / "another", meeting);
  expect(folder / "another", "of another job (another, not job)");
  meeting.over = true;
  meeting.end = {0, "all done"};
  write_meeting(folder / "over", meeting);
  EXPECT_THAT(client_fails(folder / "over", ""), HasSubstr("over: all done"));
  meeting.job = "job";
  meeting.over = false;
  meeting.ready = false;
  write_meeting(folder / "early", meeting);
  EXPECT_THAT(client_fails(folder / "early", "job"), HasSubstr("not all servers have come"));
}

}  // namespace
}  // namespace trireme::test
