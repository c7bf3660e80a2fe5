// Processes that exchange what they have, and one that ends before the others.
#include "core/engine/ranks.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

namespace kappascope {
namespace {

std::uint16_t free_port() {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  bind(listener, reinterpret_cast<const sockaddr*>(&address), size);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  close(listener);
  return ntohs(address.sin_port);
}

// Runs `work` in `size` processes; each says by its result whether it found what it should.
void expect_of_ranks(int size, const std::function<bool(Ranks&)>& work) {
  const std::uint16_t port = free_port();
  std::vector<pid_t> children;
  for (int rank = 0; rank < size; ++rank) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child != 0) {
      children.push_back(child);
      continue;
    }
    bool holds = false;
    try {
      NoProgress progress;
      RankPlace place{.rank = rank, .size = size, .address = "127.0.0.1", .port = port};
      holds = work(*join_ranks(place, progress));
    } catch (const std::exception& error) { fprintf(stderr, "rank %d: %s\n", rank, error.what()); }
    _exit(holds ? 0 : 1);
  }
  for (std::size_t rank = 0; rank < children.size(); ++rank) {
    int status = -1;
    waitpid(children[rank], &status, 0);
    EXPECT_EQ(status, 0) << "rank " << rank;
  }
}

std::vector<std::byte> bytes_of(int rank) {  // rank + 2 bytes
  return std::vector<std::byte>(std::size_t(rank + 2), std::byte(rank + 1));
}

TEST(Ranks, GiveEachOtherWhatTheyHave) {
  expect_of_ranks(3, [](Ranks& ranks) {
    const int rank = ranks.rank();
    std::vector<double> sums = {0.1 * (rank + 1), rank == 1 ? 7.0 : 0.0};
    std::vector<float> floats(1000, float(rank));
    std::int64_t count = std::int64_t{1} << (50 + rank);
    bool holds = !ranks.sum(std::span(sums)) && !ranks.sum(std::span(floats)) &&
                 !ranks.sum(std::span(&count, 1));
    holds = holds && std::abs(sums[0] - 0.6) < 1e-15 && sums[1] == 7 && floats[999] == 3 &&
            count == std::int64_t{7} << 50;
    // Round the ring, the last one's bytes none at all.
    std::vector<std::byte> taken = bytes_of(5);
    const auto given = [](int of) { return of == 2 ? std::vector<std::byte>() : bytes_of(of); };
    if (rank != 2) { holds = holds && !ranks.send((rank + 1) % 3, given(rank)); }
    holds = holds && !ranks.receive((rank + 2) % 3, taken) && taken == given((rank + 2) % 3);
    if (rank == 2) { holds = holds && !ranks.send(0, given(2)); }
    return holds && !ranks.wait() && !ranks.lost_another();
  });
}

TEST(Ranks, LearnWhyOneHasEnded) {
  expect_of_ranks(3, [](Ranks& ranks) {
    const Failure own = {ExitCode::damaged, "a.txt: not UTF-8"};
    if (ranks.rank() == 1) { return !ranks.leave(own); }
    const Failure found = ranks.wait();
    const bool holds =
        found.code == ExitCode::damaged && found.message == "rank 1: a.txt: not UTF-8";
    return holds && ranks.lost_another() && ranks.leave(found) == (ranks.rank() == 0);
  });
}

}  // namespace
}  // namespace kappascope
