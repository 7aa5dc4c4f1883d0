/* Windows that slide over an image of rows of pixels of channels. */
struct window {
  int16_t height, width, channels;
  int16_t output_height, output_width;
  int16_t rows, columns;
  int16_t stride_y, stride_x;
  int16_t dilation_y, dilation_x;
  int16_t top, left; /* padding */
};

struct range {
  int32_t begin, end;
};

/* Which of `taps` places, `dilation` apart from `origin` on, lie on a side of `length`. */
static struct range inside(int32_t origin, int32_t taps, int32_t dilation, int32_t length) {
  struct range found = {0, taps};
  while (found.begin < taps && origin + found.begin * dilation < 0) found.begin++;
  while (found.end > found.begin && origin + (found.end - 1) * dilation >= length) found.end--;
  return found;
}
