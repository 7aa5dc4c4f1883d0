struct max_pool {
  const int8_t *input;
  int8_t *output;
  struct window window;
  int16_t least, most;
};

static void max_pool(const struct max_pool *p) {
  const struct window *w = &p->window;
  const int32_t channels = w->channels;
  int8_t *to = p->output;
  for (int32_t y = 0; y < w->output_height; y++) {
    const int32_t top = y * w->stride_y - w->top;
    const struct range rows = inside(top, w->rows, 1, w->height);
    for (int32_t x = 0; x < w->output_width; x++) {
      const int32_t left = x * w->stride_x - w->left;
      const struct range columns = inside(left, w->columns, 1, w->width);
      for (int32_t channel = 0; channel < channels; channel++) {
        int32_t most = -128;
        for (int32_t row = rows.begin; row < rows.end; row++) {
          const int8_t *from = p->input + ((top + row) * w->width + left + columns.begin) * channels + channel;
          for (int32_t column = columns.begin; column < columns.end; column++, from += channels) {
            if (*from > most) most = *from;
          }
        }
        *to++ = clamped(most, p->least, p->most);
      }
    }
  }
}
