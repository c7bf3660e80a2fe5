#include "app/gui/window.h"

#define GLFW_INCLUDE_NONE
#include <GLFW/glfw3.h>
#include <imgui.h>
#include <imgui_impl_glfw.h>
#include <imgui_impl_opengl3.h>
#include <imgui_internal.h>

#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "app/gui/picture_clipboard.h"
#include "core/error.h"
#include "core/figure/png.h"
#include "core/trace/output_file.h"

namespace kappascope::gui {

namespace fs = std::filesystem;

namespace {

constexpr unsigned kColourBufferBit = 0x4000, kFramebuffer = 0x8D40, kRenderbuffer = 0x8D41,
                   kRgba8 = 0x8058, kColourAttachment = 0x8CE0, kRgb = 0x1907, kByte = 0x1401,
                   kPackAlignment = 0x0D05;

constexpr const char* kInstead =
    "; without a window: `kappascope run MODEL -p TEXT -o DIR` and `kappascope plot TRACE -o DIR`";

std::function<void()> lost_display;  // Xlib's handler is one a process, and is given no pointer

bool is_modifier(ImGuiKey key) {
  return (key & ImGuiMod_Mask_) != 0 || (key >= ImGuiKey_LeftCtrl && key <= ImGuiKey_RightSuper);
}

// Takes from the queue what follows a change of a modifier after the press of another key, for the
// next frame. Dear ImGui leaves one change of a key to a frame, but would take both of these: of a
// quick Ctrl+Q, Q would be pressed without Ctrl.
std::vector<ImGuiInputEvent> take_later_modifiers() {
  ImVector<ImGuiInputEvent>& queue = ImGui::GetCurrentContext()->InputEventsQueue;
  bool pressed = false;
  for (int i = 0; i < queue.Size; ++i) {
    if (queue[i].Type != ImGuiInputEventType_Key) { continue; }
    const bool modifier = is_modifier(queue[i].Key.Key);
    if (modifier && pressed) {
      std::vector<ImGuiInputEvent> later(queue.begin() + i, queue.end());
      queue.resize(i);
      return later;
    }
    pressed |= !modifier && queue[i].Key.Down;
  }
  return {};
}

std::string last_glfw_error() {
  const char* text = nullptr;
  glfwGetError(&text);
  return text ? text : "unknown reason";
}

// No larger than a screen has room for: a size may come from a larger one that is gone.
void fit_to_screens(int& width, int& height) {
  int count = 0, most_width = 0, most_height = 0;
  GLFWmonitor* const* const monitors = glfwGetMonitors(&count);
  for (int i = 0; i < count; ++i) {
    int x = 0, y = 0, wide = 0, high = 0;
    glfwGetMonitorWorkarea(monitors[i], &x, &y, &wide, &high);
    most_width = std::max(most_width, wide);
    most_height = std::max(most_height, high);
  }
  if (most_width > 0 && most_height > 0) {
    width = std::min(width, most_width);
    height = std::min(height, most_height);
  }
}

}  // namespace

struct Window::Graphics {
  void (*Viewport)(int, int, int, int) = load("glViewport");
  void (*ClearColor)(float, float, float, float) = load("glClearColor");
  void (*Clear)(unsigned) = load("glClear");
  void (*GenFramebuffers)(int, unsigned*) = load("glGenFramebuffers");
  void (*BindFramebuffer)(unsigned, unsigned) = load("glBindFramebuffer");
  void (*GenRenderbuffers)(int, unsigned*) = load("glGenRenderbuffers");
  void (*BindRenderbuffer)(unsigned, unsigned) = load("glBindRenderbuffer");
  void (*RenderbufferStorage)(unsigned, unsigned, int, int) = load("glRenderbufferStorage");
  void (*FramebufferRenderbuffer)(unsigned, unsigned, unsigned,
                                  unsigned) = load("glFramebufferRenderbuffer");
  void (*PixelStorei)(unsigned, int) = load("glPixelStorei");
  void (*ReadPixels)(int, int, int, int, unsigned, unsigned, void*) = load("glReadPixels");

 private:
  struct Address {
    GLFWglproc address;
    template <typename Function>
    operator Function*() const {
      return reinterpret_cast<Function*>(address);
    }
  };
  static Address load(const char* name) {
    const GLFWglproc address = glfwGetProcAddress(name);
    require(address != nullptr, ExitCode::gpu, {}, "OpenGL 3.3 lacks ", name, kInstead);
    return {address};
  }
};

Window::Window(const WindowOptions& options) : options_(options) {
  if (glfwInit() != GLFW_TRUE) {
    fail(ExitCode::gpu, {}, "no display to open a window on (", last_glfw_error(), ")", kInstead);
  }
  glfwWindowHint(GLFW_CONTEXT_VERSION_MAJOR, 3);
  glfwWindowHint(GLFW_CONTEXT_VERSION_MINOR, 3);
  glfwWindowHint(GLFW_OPENGL_PROFILE, GLFW_OPENGL_CORE_PROFILE);
  glfwWindowHint(GLFW_OPENGL_FORWARD_COMPAT, GLFW_TRUE);
  glfwWindowHint(GLFW_VISIBLE, options.visible ? GLFW_TRUE : GLFW_FALSE);
  if (options.visible) { fit_to_screens(options_.width, options_.height); }
  window_ = glfwCreateWindow(options_.width, options_.height, "kappascope", nullptr, nullptr);
  if (!window_) {
    const std::string reason = last_glfw_error();
    glfwTerminate();
    fail(ExitCode::gpu, {}, "no window with OpenGL 3.3 (", reason, ")", kInstead);
  }
  glfwMakeContextCurrent(window_);
  glfwSwapInterval(options.visible ? 1 : 0);
  graphics_ = std::make_unique<Graphics>();
  glfwSetWindowUserPointer(window_, this);
  glfwSetDropCallback(window_, [](GLFWwindow* window, int count, const char** paths) {
    auto* self = static_cast<Window*>(glfwGetWindowUserPointer(window));
    self->dropped_.insert(self->dropped_.end(), paths, paths + count);
    self->input_ = true;
  });
  // Uncovered or resized: nothing that Dear ImGui is notified of.
  glfwSetWindowRefreshCallback(window_, [](GLFWwindow* window) {
    static_cast<Window*>(glfwGetWindowUserPointer(window))->input_ = true;
  });

  IMGUI_CHECKVERSION();
  ImGui::CreateContext();
  ImGuiIO& io = ImGui::GetIO();
  io.IniFilename = nullptr;  // layouts are the settings' own
  io.ConfigFlags |= ImGuiConfigFlags_DockingEnable | ImGuiConfigFlags_NavEnableKeyboard;
  io.ConfigDockingTransparentPayload = true;
  io.ConfigWindowsMoveFromTitleBarOnly = true;
  io.ConfigErrorRecoveryEnableTooltip = false;  // mistakes of ours are for tests
  io.ConfigDebugHighlightIdConflicts = false;
  ImGui_ImplGlfw_InitForOpenGL(window_, true);
  take_clipboard();
  ImGui_ImplOpenGL3_Init("#version 330 core");
  if (!options.visible) {
    unsigned renderbuffer = 0;
    graphics_->GenFramebuffers(1, &framebuffer_);
    graphics_->BindFramebuffer(kFramebuffer, framebuffer_);
    graphics_->GenRenderbuffers(1, &renderbuffer);
    graphics_->BindRenderbuffer(kRenderbuffer, renderbuffer);
    graphics_->RenderbufferStorage(kRenderbuffer, kRgba8, options.width, options.height);
    graphics_->FramebufferRenderbuffer(kFramebuffer, kColourAttachment, kRenderbuffer,
                                       renderbuffer);
  }
}

Window::~Window() {
  lost_display = nullptr;
  ImGui_ImplOpenGL3_Shutdown();
  ImGui_ImplGlfw_Shutdown();
  ImGui::DestroyContext();
  glfwDestroyWindow(window_);
  glfwTerminate();
}

void Window::frame(const std::function<void()>& draw) {
  ImGui_ImplOpenGL3_NewFrame();
  ImGui_ImplGlfw_NewFrame();
  ImGuiIO& io = ImGui::GetIO();
  int width = options_.width, height = options_.height;
  if (options_.visible) {
    glfwGetFramebufferSize(window_, &width, &height);
  } else {
    io.DisplaySize = {float(width), float(height)};
  }
  const std::vector<ImGuiInputEvent> later = take_later_modifiers();
  ImGui::NewFrame();
  for (const ImGuiInputEvent& event : later) {
    ImGui::GetCurrentContext()->InputEventsQueue.push_back(event);
  }
  draw();
  ImGui::Render();
  graphics_->Viewport(0, 0, width, height);
  const ImVec4 ground = ImGui::GetStyle().Colors[ImGuiCol_WindowBg];
  graphics_->ClearColor(ground.x, ground.y, ground.z, 1);
  graphics_->Clear(kColourBufferBit);
  ImGui_ImplOpenGL3_RenderDrawData(ImGui::GetDrawData());
  if (options_.visible) { glfwSwapBuffers(window_); }
}

bool Window::wait(double seconds) {
  input_ = false;
  if (seconds <= 0) {
    glfwPollEvents();
  } else {
    glfwWaitEventsTimeout(seconds);
  }
  // Dear ImGui takes quick keys and clicks apart, one per frame: what is queued is input, too.
  return input_ || ImGui::GetCurrentContext()->InputEventsQueue.Size > 0;
}

void Window::wake() {
  glfwPostEmptyEvent();
}

bool Window::take_close_request() {
  const bool asked = glfwWindowShouldClose(window_) != 0;
  glfwSetWindowShouldClose(window_, GLFW_FALSE);
  return asked;
}

// An X server takes a text in one request, and the program that sends a longer one is ended by it.
void Window::take_clipboard() {
  ImGuiPlatformIO& platform = ImGui::GetPlatformIO();
  platform.Platform_ClipboardUserData = this;
  platform.Platform_SetClipboardTextFn = [](ImGuiContext*, const char* text) {
    static_cast<Window*>(ImGui::GetPlatformIO().Platform_ClipboardUserData)->copy(text);
  };
  platform.Platform_GetClipboardTextFn = [](ImGuiContext*) {
    return static_cast<Window*>(ImGui::GetPlatformIO().Platform_ClipboardUserData)->pasted();
  };
}

void Window::copy(const char* text) {
  const std::size_t size = std::strlen(text);
  uncopied_.clear();
  if (size <= kMostClipboard) { return glfwSetClipboardString(window_, text); }
  const char* held = glfwGetClipboardString(window_);
  clipboard_then_ = held ? held : "";
  uncopied_ = text;
  char words[200];
  std::snprintf(words, sizeof words,
                "%.1f MB is too much for the clipboard, which holds at most %zu MB: save it as a "
                "file, with Export view or Save trace in the menu File",
                double(size) / (1 << 20), kMostClipboard >> 20);
  if (copy_refused_) { copy_refused_(words); }
}

const char* Window::pasted() {
  const char* held = glfwGetClipboardString(window_);
  if (uncopied_.empty()) { return held; }
  if ((held ? held : "") == clipboard_then_) { return uncopied_.c_str(); }
  uncopied_.clear();  // another program has copied since
  return held;
}

void Window::on_copy_refused(std::function<void(const std::string&)> refused) {
  copy_refused_ = std::move(refused);
}

void Window::on_lost_display(std::function<void()> lost) {
  lost_display = std::move(lost);
  // Only where GLFW has brought Xlib in.
  void* xlib = dlopen("libX11.so.6", RTLD_NOLOAD | RTLD_LAZY);
  if (!xlib) { return; }
  using Handler = int (*)(void* display);
  const auto set = reinterpret_cast<Handler (*)(Handler)>(dlsym(xlib, "XSetIOErrorHandler"));
  if (set) {
    set([](void*) {
      if (lost_display) { lost_display(); }
      return 0;
    });
  }
}

double Window::content_scale() const {
  float x = 1, y = 1;
  glfwGetWindowContentScale(window_, &x, &y);
  return std::max(0.5f, x);
}

int Window::width() const {
  int width = 0, height = 0;
  glfwGetWindowSize(window_, &width, &height);
  return width;
}

int Window::height() const {
  int width = 0, height = 0;
  glfwGetWindowSize(window_, &width, &height);
  return height;
}

void Window::resize(int width, int height) {
  glfwSetWindowSize(window_, width, height);
}

std::vector<fs::path> Window::take_dropped() {
  return std::exchange(dropped_, {});
}

std::vector<std::uint8_t> Window::pixels() const {
  const auto row = std::size_t(options_.width) * 3;
  std::vector<std::uint8_t> upward(row * std::size_t(options_.height)), downward(upward.size());
  graphics_->PixelStorei(kPackAlignment, 1);
  graphics_->ReadPixels(0, 0, options_.width, options_.height, kRgb, kByte, upward.data());
  for (std::size_t y = 0; y < std::size_t(options_.height); ++y) {
    const auto from = upward.end() - std::ptrdiff_t((y + 1) * row);
    std::copy_n(from, row, downward.begin() + std::ptrdiff_t(y * row));
  }
  return downward;
}

void write_picture(const fs::path& file, std::span<const std::uint8_t> rgb, int width, int height) {
  const auto fill = [&](std::int64_t row, std::span<std::uint8_t> pixels) {
    std::copy_n(rgb.begin() + row * width * 3, pixels.size(), pixels.begin());
  };
  const std::string png = rgb_png(width, height, 96, {}, fill);
  const fs::path staged = file.string() + ".new";
  std::error_code error;
  fs::remove(staged, error);
  OutputFile out(staged);
  out.write_at(0, std::as_bytes(std::span(png)));
  out.finish();
  fs::rename(staged, file, error);
  require(!error, ExitCode::io, {.file = file.native()}, error.message());
}

}  // namespace kappascope::gui
