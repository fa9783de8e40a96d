// Small messages as bytes: numbers in the machine's order (a job's nodes are alike), lists with their length
// in front. What comes from the network is checked as it is taken apart.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "base/error.h"

namespace trireme {

template <class T>
concept PlainNumber = std::is_arithmetic_v<T> || std::is_enum_v<T>;

// Appends fields. A message type T says what its fields are in one place: `template <class Fields> void
// fields(Fields& f)`, which calls f(first, second, ...).
class Packer {
 public:
  std::vector<std::byte> bytes;

  template <class... Field>
  void operator()(const Field&... field) {
    (put(field), ...);
  }

 private:
  void append(const void* data, size_t size) {
    const auto* begin = static_cast<const std::byte*>(data);
    bytes.insert(bytes.end(), begin, begin + size);
  }
  template <PlainNumber T>
  void put(const T& number) {
    append(&number, sizeof number);
  }
  void put(const std::string& text) {
    put(static_cast<uint32_t>(text.size()));
    append(text.data(), text.size());
  }
  template <class T>
  void put(const std::vector<T>& list) {
    put(static_cast<uint32_t>(list.size()));
    if constexpr (PlainNumber<T>) {
      append(list.data(), list.size() * sizeof(T));
    } else {
      for (const T& one : list) put(one);
    }
  }
  template <class T>
  requires std::is_class_v<T>
  void put(const T& message) { const_cast<T&>(message).fields(*this); }
};

// Takes fields off. Throws CommError where the bytes end too early or a length is more than there is.
class Unpacker {
 public:
  explicit Unpacker(std::span<const std::byte> bytes) : rest_(bytes) {}

  template <class... Field>
  void operator()(Field&... field) {
    (take(field), ...);
  }
  bool empty() const { return rest_.empty(); }

 private:
  void copy(void* into, size_t size) {
    if (size > rest_.size()) {
      throw CommError("a message ends after {} bytes in the middle of a field of {}", rest_.size(), size);
    }
    if (size > 0) std::memcpy(into, rest_.data(), size);
    rest_ = rest_.subspan(size);
  }
  template <PlainNumber T>
  void take(T& number) {
    copy(&number, sizeof number);
  }
  size_t take_length(size_t element_bytes) {
    uint32_t length = 0;
    take(length);
    if (length > rest_.size() / element_bytes) {
      throw CommError("a message announces {} elements and has {} bytes", length, rest_.size());
    }
    return length;
  }
  void take(std::string& text) {
    text.resize(take_length(1));
    copy(text.data(), text.size());
  }
  template <class T>
  void take(std::vector<T>& list) {
    if constexpr (PlainNumber<T>) {
      list.resize(take_length(sizeof(T)));
      copy(list.data(), list.size() * sizeof(T));
    } else {
      // One by one: what a length claims takes no memory before the bytes are there.
      list.clear();
      for (size_t left = take_length(1); left > 0; --left) take(list.emplace_back());
    }
  }
  template <class T>
  requires std::is_class_v<T>
  void take(T& message) { message.fields(*this); }

  std::span<const std::byte> rest_;
};

template <class Message>
std::vector<std::byte> packed(const Message& message) {
  Packer packer;
  packer(message);
  return std::move(packer.bytes);
}

// Throws CommError when `bytes` are not exactly one such message.
template <class Message>
Message unpacked(std::span<const std::byte> bytes) {
  Message message;
  Unpacker unpacker(bytes);
  unpacker(message);
  if (!unpacker.empty()) throw CommError("a message is longer than what it says");
  return message;
}

}  // namespace trireme
