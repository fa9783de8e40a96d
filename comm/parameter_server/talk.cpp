#include "comm/parameter_server/talk.h"

#include <unistd.h>

#include <memory>
#include <random>

#include "base/error.h"
#include "comm/parameter_server/local_process.h"
#include "comm/world.h"

namespace trireme {
namespace {

constexpr int most_fetching = 256;  // of 1 MiB at most

}  // namespace

void send_control(UcxEndpoint& endpoint, uint64_t token, Word word, const std::vector<std::byte>& body) {
  Packer packer;
  packer(token, word);
  auto data = std::make_shared<std::vector<std::byte>>(std::move(packer.bytes));
  data->insert(data->end(), body.begin(), body.end());
  endpoint.send(control_message, {}, data->data(), data->size(), [data](ucs_status_t) {});
}

void fetch_control(UcxMessage& message, int& fetching, std::function<void(std::span<const std::byte>)> then) {
  if (message.size() > longest_control) throw CommError("a control message of {} bytes", message.size());
  if (message.is_here()) return then(message.data());
  if (fetching >= most_fetching) throw CommError("more than {} long control messages at once", most_fetching);
  auto data = std::make_shared<std::vector<std::byte>>(message.size());
  ++fetching;
  message.receive(data->data(), data->size(), [data, &fetching, then = std::move(then)](ucs_status_t status) {
    --fetching;
    if (status == UCS_OK) then(*data);
  });
}

ControlMessage parse_control(std::span<const std::byte> data) {
  constexpr size_t front = sizeof(uint64_t) + sizeof(Word);
  ControlMessage control;
  Unpacker unpacker(data.first(std::min(data.size(), front)));
  unpacker(control.token, control.word);
  control.body = data.subspan(front);
  return control;
}

Hello hello_of(const UcxWorker& worker, uint64_t session, uint64_t token, uint64_t fingerprint) {
  Hello hello;
  hello.session = session;
  hello.token = token;
  hello.fingerprint = fingerprint;
  hello.process = ::getpid();
  hello.host = host_name();
  hello.space = process_space();
  hello.address = worker.address();
  return hello;
}

uint64_t draw_token() {
  std::random_device random;
  return random() | (uint64_t{random()} << 32);
}

}  // namespace trireme
