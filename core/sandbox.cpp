#include "core/sandbox.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#if __has_include(<linux/landlock.h>)
#include <linux/landlock.h>
#define KAPPASCOPE_LANDLOCK
#endif
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace kappascope {
namespace {

namespace fs = std::filesystem;

// --- Landlock -----------------------------------------------------------------------------------

#ifdef KAPPASCOPE_LANDLOCK

// From versions 2 and 3 on; older headers do not name them.
constexpr std::uint64_t kRefer = std::uint64_t{1} << 13, kTruncate = std::uint64_t{1} << 14;
constexpr std::uint64_t kWriteFile = LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate;
constexpr std::uint64_t kChange =
    kWriteFile | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
    LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
    LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
    LANDLOCK_ACCESS_FS_MAKE_SYM | kRefer;

// 0: there is none. The first version cannot rename from one folder into another, as outputs need.
int landlock_version() {
  const long version =
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return version >= 2 ? int(version) : 0;
}

void allow_writes(int rules, std::uint64_t rights, const fs::path& path) {
  const int place = open(path.c_str(), O_PATH | O_CLOEXEC);
  if (place < 0) { return; }
  struct stat found{};
  const bool folder = fstat(place, &found) == 0 && S_ISDIR(found.st_mode);
  landlock_path_beneath_attr below{};
  below.allowed_access = folder ? rights : rights & kWriteFile;
  below.parent_fd = place;
  (void)syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &below, 0);
  close(place);
}

void confine_writes(const std::vector<fs::path>& writable) {
  const int version = landlock_version();
  if (version == 0) { return; }
  landlock_ruleset_attr handled{};
  handled.handled_access_fs = version >= 3 ? kChange : kChange & ~kTruncate;
  const auto rules = int(syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0));
  if (rules < 0) { return; }
  for (const fs::path& path : writable) { allow_writes(rules, handled.handled_access_fs, path); }
  (void)syscall(SYS_landlock_restrict_self, rules, 0);
  close(rules);
}

#else
int landlock_version() {
  return 0;
}
void confine_writes(const std::vector<fs::path>& /*writable*/) {}
#endif

// --- seccomp ------------------------------------------------------------------------------------

#if defined(__x86_64__)
constexpr std::uint32_t kMachine = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kMachine = AUDIT_ARCH_AARCH64;
#else
constexpr std::uint32_t kMachine = 0;  // no filter
#endif

// What no part of the program needs: other processes, their memory, the kernel's own settings, and
// calls by ways around this filter.
constexpr int kNeverNeeded[] = {SYS_ptrace,
                                SYS_process_vm_readv,
                                SYS_process_vm_writev,
                                SYS_pidfd_getfd,
                                SYS_io_uring_setup,
                                SYS_io_uring_enter,
                                SYS_io_uring_register,
                                SYS_add_key,
                                SYS_request_key,
                                SYS_keyctl,
                                SYS_bpf,
                                SYS_userfaultfd,
                                SYS_perf_event_open,
                                SYS_mount,
                                SYS_umount2,
                                SYS_move_mount,
                                SYS_open_tree,
                                SYS_fsopen,
                                SYS_fsconfig,
                                SYS_fsmount,
                                SYS_pivot_root,
                                SYS_chroot,
                                SYS_setns,
                                SYS_unshare,
                                SYS_open_by_handle_at,
                                SYS_init_module,
                                SYS_finit_module,
                                SYS_delete_module,
                                SYS_kexec_load,
                                SYS_reboot,
                                SYS_swapon,
                                SYS_swapoff,
                                SYS_acct,
                                SYS_quotactl,
                                SYS_settimeofday,
                                SYS_clock_settime,
                                SYS_clock_adjtime,
                                SYS_adjtimex,
                                SYS_sethostname,
                                SYS_setdomainname,
                                SYS_syslog};
constexpr int kPrograms[] = {SYS_execve, SYS_execveat};
constexpr std::uint32_t kForeignNumbers = 0x40000000;  // of x32: the same calls by other numbers

class Filter {
 public:
  Filter() {
    load(offsetof(seccomp_data, arch));
    unless_equal(kMachine, kRefuse);
    load(offsetof(seccomp_data, nr));
#if defined(__x86_64__)
    code_.push_back(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kForeignNumbers, 0, 1));
    result(kRefuse);
#endif
  }
  template <std::size_t N>
  void refuse(const int (&calls)[N]) {
    for (const int call : calls) {
      code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, std::uint32_t(call), 0, 1));
      result(kRefuse);
    }
  }
  // Of sockets only those of one family, or none.
  void refuse_sockets(bool but_local) {
    const std::uint8_t others = but_local ? 4 : 1;  // instructions that are of sockets only
    code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, others));
    if (but_local) {
      load(offsetof(seccomp_data, args));  // the low half: both machines are little-endian
      unless_equal(AF_UNIX, kRefuse);
      result(SECCOMP_RET_ALLOW);
    } else {
      result(kRefuse);
    }
  }
  void install() {
    result(SECCOMP_RET_ALLOW);
    sock_fprog program{static_cast<unsigned short>(code_.size()), code_.data()};
    (void)prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
  }

 private:
  static constexpr std::uint32_t kRefuse = SECCOMP_RET_ERRNO | EPERM;

  void load(std::size_t at) {
    code_.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, std::uint32_t(at)));
  }
  void unless_equal(std::uint32_t value, std::uint32_t action) {
    code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0));
    result(action);
  }
  void result(std::uint32_t action) { code_.push_back(BPF_STMT(BPF_RET | BPF_K, action)); }

  std::vector<sock_filter> code_;
};

bool has_filters() {
  std::uint32_t action = SECCOMP_RET_ERRNO;
  return kMachine != 0 && syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

// --- the places ---------------------------------------------------------------------------------

// `path` without links, or where it does not exist the nearest folder above it that does, in which
// it is to be made.
fs::path there(const fs::path& path) {
  std::error_code error;
  fs::path place = fs::weakly_canonical(fs::absolute(path, error), error);
  while (!fs::exists(place, error) && place.has_relative_path()) { place = place.parent_path(); }
  return place;
}

fs::path in_environment(const char* name, const fs::path& otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? otherwise : fs::path(value);
}

// Devices without a disk behind them: terminals, shared memory, graphics.
void add_devices(std::vector<fs::path>& places) {
  for (const char* name : {"null", "zero", "full", "tty", "pts", "shm", "dri", "dxg", "nvmap"}) {
    places.push_back(fs::path("/dev") / name);
  }
  std::error_code error;
  for (fs::directory_iterator entry("/dev", error), end; entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().native();
    for (const char* start : {"nvidia", "nvhost", "nvgpu"}) {
      if (name.starts_with(start)) { places.push_back(entry->path()); }
    }
  }
}

// Of NVIDIA, of WSL, of Jetson.
bool has_gpu() {
  std::error_code error;
  return fs::exists("/dev/nvidiactl", error) || fs::exists("/dev/dxg", error) ||
         fs::exists("/dev/nvmap", error);
}

// After the machine has started, the first use of CUDA makes a device by a program of the driver's
// (nvidia-modprobe), which no sandbox may keep from it.
bool driver_makes_devices() {
  std::error_code error;
  return fs::exists("/proc/driver/nvidia/version", error) && !fs::exists("/dev/nvidia-uvm", error);
}

// Where fontconfig keeps what it knows of the fonts, or may begin to.
fs::path font_cache(const fs::path& home) {
  const fs::path caches = in_environment("XDG_CACHE_HOME", home / ".cache");
  std::error_code error;
  return fs::exists(caches / "fontconfig", error) ? caches / "fontconfig" : caches;
}

std::vector<fs::path> writable_places(const std::vector<fs::path>& outputs) {
  const fs::path home = in_environment("HOME", "/nonexistent");
  std::error_code error;
  std::vector<fs::path> places{
      fs::temp_directory_path(error), "/var/cache/fontconfig", font_cache(home),
      in_environment("CUDA_CACHE_PATH", home / ".nv"),
      in_environment("CUDA_MPS_PIPE_DIRECTORY", fs::path("/tmp") / "nvidia-mps")};
  if (has_gpu()) { fs::create_directory(home / ".nv", error); }  // as the driver would
  add_devices(places);
  for (const fs::path& output : outputs) {
    const fs::path place = there(output);
    // A file is replaced by another one beside it.
    places.push_back(fs::is_directory(place, error) ? place : place.parent_path());
    // A link to a file is replaced by that file, where the link is.
    const bool file = fs::is_symlink(output, error) && !fs::is_directory(place, error);
    if (file) { places.push_back(there(fs::absolute(output, error).parent_path())); }
  }
  return places;
}

// A job of several processes, whose ranks speak to each other (core/engine/ranks.h).
bool is_one_of_several() {
  for (const char* name : {"WORLD_SIZE", "SLURM_NTASKS"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && std::string_view(value) != "1") { return true; }
  }
  return false;
}

bool is_off() {
  const char* value = std::getenv("KAPPASCOPE_SANDBOX");
  return value != nullptr && std::string_view(value) == "off";
}

}  // namespace

void enter_sandbox(const Sandbox& sandbox) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) { return; }
  if (sandbox.writable) { confine_writes(*sandbox.writable); }
  if (!has_filters()) { return; }
  Filter filter;
  filter.refuse(kNeverNeeded);
  if (!sandbox.programs) { filter.refuse(kPrograms); }
  if (!sandbox.network) { filter.refuse_sockets(sandbox.local_sockets); }
  filter.install();
}

std::string sandbox_text() {
  const bool writes = landlock_version() > 0, calls = has_filters();
  return writes && calls ? "writes by Landlock, calls by seccomp"
         : writes        ? "writes by Landlock"
         : calls         ? "calls by seccomp"
                         : "none: this kernel has neither Landlock nor seccomp";
}

void confine_verb(const std::vector<fs::path>& outputs) {
  if (is_off() || driver_makes_devices()) { return; }
  enter_sandbox({.writable = writable_places(outputs),
                 .network = is_one_of_several(),
                 .local_sockets = has_gpu()});
}

void confine_window() {
  if (is_off() || driver_makes_devices()) { return; }
  enter_sandbox({.writable = {}, .network = true, .programs = true});
}

}  // namespace kappascope
