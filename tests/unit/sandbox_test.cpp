#include "core/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <map>
#include <string>

#include "temp_folder.h"

namespace kappascope {
namespace {

// What became of each attempt, by its name: 0, or errno.
using Outcome = std::map<std::string, int>;
using Attempts = std::vector<std::pair<std::string, std::function<bool()>>>;

// Makes the attempts in a process of their own that has entered the sandbox.
Outcome outcome(const Sandbox& sandbox, const Attempts& attempts) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    enter_sandbox(sandbox);
    for (const auto& [name, attempt] : attempts) {
      errno = 0;
      const int result = attempt() ? 0 : errno;
      (void)!write(ends[1], &result, sizeof result);
    }
    _exit(0);
  }
  close(ends[1]);
  Outcome found;
  for (const auto& [name, attempt] : attempts) {
    int result = -1;
    EXPECT_EQ(read(ends[0], &result, sizeof result), ssize_t(sizeof result)) << name;
    found[name] = result;
  }
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return found;
}

bool opens(const std::string& path, int flags) {
  const int descriptor = open(path.c_str(), flags | O_CLOEXEC, 0600);
  if (descriptor >= 0) { close(descriptor); }
  return descriptor >= 0;
}

bool makes_socket(int family, int type) {
  const int descriptor = socket(family, type, 0);
  if (descriptor >= 0) { close(descriptor); }
  return descriptor >= 0;
}

bool runs_program() {
  char name[] = "/bin/true";
  char* words[] = {name, nullptr};
  execv(name, words);
  return false;  // a program that was started would leave the pipe without an answer
}

bool has(const char* part) {
  return sandbox_text().find(part) != std::string::npos;
}

TEST(Sandbox, FilesAreMadeAndChangedInItsPlacesOnly) {
  if (!has("Landlock")) { GTEST_SKIP() << "skipped: this kernel has no Landlock"; }
  const testing::TempFolder folder;
  folder.write("in/old", "old");
  folder.write("out/old", "old");
  const std::string in = folder / "in", out = folder / "out";
  Attempts attempts;
  for (const std::string& place : {in, out}) {
    const std::string name = place == in ? "in " : "out ";
    attempts.insert(
        attempts.end(),
        {{name + "read", [=] { return opens(place + "/old", O_RDONLY); }},
         {name + "write", [=] { return opens(place + "/old", O_WRONLY); }},
         {name + "truncate", [=] { return opens(place + "/old", O_WRONLY | O_TRUNC); }},
         {name + "make", [=] { return opens(place + "/new", O_WRONLY | O_CREAT); }},
         {name + "folder", [=] { return mkdir((place + "/folder").c_str(), 0700) == 0; }},
         {name + "link", [=] { return symlink("old", (place + "/link").c_str()) == 0; }},
         {name + "rename",
          [=] { return rename((place + "/old").c_str(), (in + "/folder/moved").c_str()) == 0; }},
         {name + "remove", [=] { return unlink((place + "/new").c_str()) == 0; }}});
  }
  attempts.emplace_back("through a link", [=] {
    return symlink((out + "/old").c_str(), (in + "/door").c_str()) == 0 &&
           opens(in + "/door", O_WRONLY);
  });
  const Outcome found = outcome({.writable = {{in, folder / "absent"}}}, attempts);
  for (const auto& [name, error] : found) {
    const bool allowed = name.starts_with("in ") || name == "out read";
    if (name == "out remove") {
      EXPECT_TRUE(error == ENOENT || error == EACCES) << error;  // "out make" made none
    } else if (name == "out rename") {
      EXPECT_TRUE(error == EXDEV || error == EACCES) << error;
    } else {
      EXPECT_EQ(error, allowed ? 0 : EACCES) << name;
    }
  }
  EXPECT_EQ(std::filesystem::file_size(out + "/old"), 3U);
}

TEST(Sandbox, NoSocketNoProgramNoOtherProcess) {
  if (!has("seccomp")) { GTEST_SKIP() << "skipped: this kernel has no seccomp"; }
  const Attempts attempts{
      {"internet", [] { return makes_socket(AF_INET, SOCK_STREAM); }},
      {"datagrams", [] { return makes_socket(AF_INET6, SOCK_DGRAM); }},
      {"local", [] { return makes_socket(AF_UNIX, SOCK_STREAM); }},
      {"program", [] { return runs_program(); }},
      {"trace", [] { return ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0; }},
      {"ring", [] { return syscall(SYS_io_uring_setup, 1, nullptr) >= 0; }},
      {"keys", [] { return syscall(SYS_keyctl, 0, -3, 0) >= 0; }},
      {"namespace", [] { return syscall(SYS_unshare, 0x10000000) == 0; }},
  };
  for (const auto& [name, error] : outcome({}, attempts)) { EXPECT_EQ(error, EPERM) << name; }
  const Outcome local = outcome({.local_sockets = true}, attempts);
  EXPECT_EQ(local.at("local"), 0);
  EXPECT_EQ(local.at("internet"), EPERM);
  EXPECT_EQ(local.at("datagrams"), EPERM);
  EXPECT_EQ(local.at("program"), EPERM);
  const Outcome job = outcome({.network = true}, attempts);
  EXPECT_EQ(job.at("local"), 0);
  EXPECT_EQ(job.at("internet"), 0);
  EXPECT_EQ(job.at("trace"), EPERM);
}

void* try_socket(void* found) {
  *static_cast<int*>(found) = makes_socket(AF_INET, SOCK_STREAM) ? 0 : errno;
  return nullptr;
}

TEST(Sandbox, HoldsInThreadsThatAreStartedLater) {
  if (!has("seccomp")) { GTEST_SKIP() << "skipped: this kernel has no seccomp"; }
  const auto in_thread = [] {
    int found = 0;
    pthread_t thread;
    if (pthread_create(&thread, nullptr, try_socket, &found) != 0) { return false; }
    pthread_join(thread, nullptr);
    errno = found;
    return found == 0;
  };
  EXPECT_EQ(outcome({}, {{"socket", in_thread}}).at("socket"), EPERM);
}

}  // namespace
}  // namespace kappascope
