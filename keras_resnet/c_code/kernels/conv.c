/* Convolutions and dense layers, which are convolutions of windows of one pixel.

   A window is first copied to `patch`, where pixels beyond the image are zero points: one loop without tests follows.
   Weights are stored for four filters at a time, so that each pixel is loaded once for four products. `bias` holds
   what the zero point of the input adds, too. */
struct conv {
  const int8_t *input;
  int8_t *output;
  int8_t *patch; /* 0: the window is one pixel, which is read where it is */
  const int8_t *weights;
  const int32_t *bias;
  const int32_t *multipliers;
  const int8_t *shifts;
  struct window window;
  int16_t groups, filters; /* of each group */
  int16_t zero, output_zero, least, most;
  int16_t rounds_once;
};

static int8_t *copied(int8_t *to, const int8_t *from, int32_t count) {
  while (count-- > 0) *to++ = *from++;
  return to;
}

static int8_t *filled(int8_t *to, int8_t value, int32_t count) {
  while (count-- > 0) *to++ = value;
  return to;
}

static void gather(const struct conv *p, int32_t y, int32_t x, int32_t first, int32_t channels) {
  const struct window *w = &p->window;
  const int32_t top = y * w->stride_y - w->top, left = x * w->stride_x - w->left;
  const struct range columns = inside(left, w->columns, w->dilation_x, w->width);
  const int8_t zero = (int8_t)p->zero;
  int8_t *to = p->patch;
  for (int32_t row = 0; row < w->rows; row++) {
    const int32_t at = top + row * w->dilation_y;
    if (at < 0 || at >= w->height) {
      to = filled(to, zero, w->columns * channels);
      continue;
    }
    const int8_t *from = p->input + (at * w->width + left) * w->channels + first;
    to = filled(to, zero, columns.begin * channels);
    if (w->dilation_x == 1 && channels == w->channels) {
      to = copied(to, from + columns.begin * channels, (columns.end - columns.begin) * channels);
    } else {
      for (int32_t column = columns.begin; column < columns.end; column++) {
        to = copied(to, from + column * w->dilation_x * w->channels, channels);
      }
    }
    to = filled(to, zero, (w->columns - columns.end) * channels);
  }
}

static void conv(const struct conv *p) {
  const struct window *w = &p->window;
  const int32_t channels = w->channels / p->groups;
  const int32_t taps = (int32_t)w->rows * w->columns * channels;
  int8_t *to = p->output;
  for (int32_t y = 0; y < w->output_height; y++) {
    for (int32_t x = 0; x < w->output_width; x++) {
      const int8_t *weights = p->weights;
      int32_t filter = 0;
      for (int32_t group = 0; group < p->groups; group++) {
        const int8_t *patch = p->patch;
        if (patch) {
          gather(p, y, x, group * channels, channels);
        } else {
          patch = p->input + (y * w->stride_y * w->width + x * w->stride_x) * w->channels + group * channels;
        }
        const int8_t *const end = patch + taps;
        for (int32_t left = p->filters; left > 0; left -= 4, filter += 4) {
          int32_t a = p->bias[filter], b = p->bias[filter + 1], c = p->bias[filter + 2], d = p->bias[filter + 3];
          for (const int8_t *from = patch; from != end; from++, weights += 4) {
            const int32_t pixel = *from;
            a += pixel * weights[0];
            b += pixel * weights[1];
            c += pixel * weights[2];
            d += pixel * weights[3];
          }
          const int32_t sums[4] = {a, b, c, d};
          for (int32_t i = 0; i < 4 && i < left; i++) {
            const int32_t multiplier = p->multipliers[filter + i], shift = p->shifts[filter + i];
            const int32_t sum =
                p->rounds_once ? scaled_once(sums[i], multiplier, shift) : scaled(sums[i], multiplier, shift);
            *to++ = clamped(sum + p->output_zero, p->least, p->most);
          }
        }
      }
    }
  }
}
