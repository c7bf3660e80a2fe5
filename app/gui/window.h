// A window of the desktop with OpenGL 3.3, and what Dear ImGui needs of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

struct GLFWwindow;

namespace kappascope::gui {

struct WindowOptions {
  int width = 1600, height = 1000;  // in screen units
  bool visible = true;              // false: for a picture; draws into memory of just this size
};

class Window {
 public:
  // Error (gpu) in one sentence, with what to do instead, without a display or OpenGL 3.3.
  explicit Window(const WindowOptions& options);
  ~Window();
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;

  // One frame: `draw` runs between ImGui::NewFrame() and Render().
  void frame(const std::function<void()>& draw);

  // Waits for input, a wake() or `seconds`; returns false when nothing happened but time.
  bool wait(double seconds);
  static void wake();  // from any thread

  bool take_close_request();  // asked to close since the last call
  double content_scale() const;
  int width() const;
  int height() const;
  void resize(int width, int height);
  std::vector<std::filesystem::path> take_dropped();

  // More text than the clipboard carries was copied: `refused` is given one sentence; the text can
  // be pasted in this window alone.
  void on_copy_refused(std::function<void(const std::string&)> refused);
  void copy(const char* text);  // called by Dear ImGui's SetClipboardText()
  const char* pasted();
  // Called when the connection to the X server ends, which Xlib cannot go on from: has to end the
  // process. One window a process.
  static void on_lost_display(std::function<void()> lost);

  // The last frame of an invisible window, rows from the top, 3 bytes a pixel.
  std::vector<std::uint8_t> pixels() const;

 private:
  void take_clipboard();

  struct Graphics;  // the few OpenGL functions used here
  GLFWwindow* window_ = nullptr;
  std::unique_ptr<Graphics> graphics_;
  WindowOptions options_;
  unsigned int framebuffer_ = 0;
  bool input_ = false;
  std::vector<std::filesystem::path> dropped_;
  std::function<void(const std::string&)> copy_refused_;
  std::string uncopied_, clipboard_then_;  // refused, and what the clipboard held at that time
};

// Writes RGB rows from the top as PNG, in one step. Errors: io.
void write_picture(const std::filesystem::path& file, std::span<const std::uint8_t> rgb, int width,
                   int height);

}  // namespace kappascope::gui
