"""test_page.py BUILD: opens pages that rill_report wrote in a real Chromium.

make test-browser runs it; screenshots are left in BUILD/screenshots, to be
looked at. The logs are runs.py's, but for one that 03_train_mlp writes."""
import base64
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import unittest

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

import runs

BUILD = os.path.abspath(sys.argv.pop() if len(sys.argv) > 1 else 'build')
CHARTS = ['loss', 'value', 'heat', 'update', 'activations', 'noise',
          'histogram', 'graph', 'softmax', 'regions']
STEPS = 300
SLOW = 10  # seconds: far above what opening takes; the figure is printed

# What a chart shows: the pixels of canvases, where the cursor stands, and
# all text, with the widths of a graph's edges.
SHOWN = '''const box = arguments[0];
return [...box.querySelectorAll("canvas")].map(c => c.toDataURL()).join() +
  [...box.querySelectorAll(".cursor")].map(c => c.style.transform).join() +
  [...box.querySelectorAll("path")].map(p => p.getAttribute("stroke-width") +
    p.getAttribute("stroke")).join() + box.textContent;'''
# How many colours stand on a canvas.
COLOURS = '''const c = arguments[0].querySelector("canvas");
const pixels = new Uint32Array(c.getContext("2d").getImageData(0, 0, c.width,
  c.height).data.buffer);
return new Set(pixels).size;'''


def driver(folder):
    options = webdriver.ChromeOptions()
    options.binary_location = '/usr/bin/chromium'
    for argument in ('headless', 'no-sandbox', 'disable-dev-shm-usage',
                     'hide-scrollbars', 'user-data-dir=' + folder):
        options.add_argument('--' + argument)
    options.set_capability('goog:loggingPrefs',
                           {'browser': 'ALL', 'performance': 'ALL'})
    service = webdriver.chrome.service.Service('/usr/bin/chromedriver')
    return webdriver.Chrome(service=service, options=options)


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.browser = driver(os.path.join(cls.folder.name, 'profile'))
        cls.browser.get('about:blank')
        cls.browser.get_log('performance')  # the browser's own first page

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()
        cls.folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def page(self, name, *logs):
        """Writes logs, of runs.write's arguments, and makes their page."""
        paths = []
        for i, log in enumerate(logs):
            paths.append(self.path('%s%d.jsonl' % (name, i)))
            runs.write(paths[-1], **log)
        page = self.path(name + '.html')
        subprocess.run([os.path.join(BUILD, 'tests/browser/report'), page,
                        *paths], check=True)
        return page

    def open(self, page, width=1280, height=800, theme='light'):
        self.browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', {
            'width': width, 'height': height, 'deviceScaleFactor': 1,
            'mobile': width < 500})
        self.browser.execute_cdp_cmd('Emulation.setEmulatedMedia', {
            'features': [{'name': 'prefers-color-scheme', 'value': theme}]})
        self.browser.get('file://' + page)

    def open_one(self, **log):
        self.open(self.page('one', {'title': 'one', 'steps': STEPS, **log}))

    def open_two(self):
        self.open(self.page('two', {'title': 'vanishing', 'shrink': 0.1},
                            {'title': 'exploding', 'burst': 200}))

    def js(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def charts(self, kind):
        """All charts of a kind, drawn: the last of them is in view."""
        found = self.browser.find_elements(By.CSS_SELECTOR,
                                           '[data-chart=%s]' % kind)
        for chart in found:
            self.js('arguments[0].scrollIntoView({block: "center"})', chart)
            self.wait(lambda c=chart: self.js(
                'return arguments[0].chart.seen && !arguments[0].chart.stale',
                c))
        return found

    def wait(self, condition):
        until = time.time() + SLOW
        while not condition():
            self.assertLess(time.time(), until, 'it does not happen')
            time.sleep(0.02)

    def press(self, *keys):
        ActionChains(self.browser).send_keys(*keys).perform()

    def step(self):
        words = self.browser.find_element(By.ID, 'now').text.split()
        self.assertEqual([words[0], words[2]], ['step', 'of'])
        return int(words[1])

    def tip(self):
        return self.browser.find_element(By.ID, 'tip').text

    def fits(self):
        self.assertLessEqual(*self.js('return [document.documentElement'
                                      '.scrollWidth, innerWidth]'))

    def tearDown(self):
        """Whatever a test did: no error, and nothing asked of a network."""
        said = self.browser.get_log('browser')
        self.assertEqual(said, [])
        for entry in self.browser.get_log('performance'):
            if '"Network.requestWillBeSent"' in entry['message']:
                self.assertRegex(entry['message'],
                                 r'"url":"(file:///|data:)')

    def test_charts_are_there(self):
        self.open_one()
        for kind in CHARTS:
            with self.subTest(kind):
                charts = self.charts(kind)
                self.assertEqual(len(charts), 1)
                size = charts[0].size
                self.assertGreater(min(size['width'], size['height']), 100)
                if kind == 'graph':
                    self.assertEqual(len(charts[0].find_elements(
                        By.CSS_SELECTOR, 'svg g')), 8 * 4 + 1)
                elif kind == 'softmax':
                    self.assertEqual(len(charts[0].find_elements(
                        By.CSS_SELECTOR, 'tbody tr')), runs.CLASSES)
                else:
                    self.assertGreater(self.js(COLOURS, charts[0]), 12)

    def test_every_chart_says_what_it_shows(self):
        self.open_one()
        hints = [p.text for p in self.browser.find_elements(
            By.CLASS_NAME, 'hint')]
        self.assertEqual(len(hints), len(CHARTS))
        for hint in hints:
            self.assertIn('Healthy: ', hint)

    def test_slider_moves_each_chart(self):
        self.open_one()
        for kind in CHARTS:
            with self.subTest(kind):
                chart = self.charts(kind)[0]
                self.press(Keys.HOME)
                self.assertEqual(self.step(), 0)
                before = self.js(SHOWN, chart)
                self.js('const s = document.getElementById("slider");'
                        's.value = 250;'
                        's.dispatchEvent(new Event("input"))')
                self.assertEqual(self.step(), 250)
                self.assertNotEqual(self.js(SHOWN, chart), before)

    def test_figures_are_the_logs(self):
        self.open_one()
        self.press(Keys.HOME, Keys.ARROW_RIGHT)
        line = runs.step_line(1, STEPS, 8, 0.8, None)

        def legend(kind):
            chart = self.charts(kind)[0]
            return self.js('return arguments[0].parentNode.querySelector('
                           '".legend").innerText', chart).split()
        self.assertIn('%.4g' % line['loss'], legend('loss'))
        self.assertIn('%.4g' % line['noise'], legend('noise'))
        self.assertIn('%.4g' % line['layers']['update'][7],
                      legend('update'))
        opened = runs.opened(0, STEPS)
        rows = self.charts('softmax')[0].find_elements(
            By.CSS_SELECTOR, 'tbody tr')
        for c, row in enumerate(rows):
            cells = [cell.text for cell in row.find_elements(
                By.TAG_NAME, 'td')]
            want = ['%d' % c, '%.4g' % opened['logits'][0][c],
                    '%.3g' % opened['probs'][0][c], '%d' % (c == 1),
                    '%.3g' % opened['residual'][0][c]]
            self.assertEqual([t.replace('\u2212', '-') for t in cells], want)
        norms = [t.text for t in self.charts('graph')[0].find_elements(
            By.CLASS_NAME, 'norm')]
        grad = runs.step_line(0, STEPS, 8, 0.8, None)['grad']
        for g in grad:
            self.assertIn('%.3g' % (g / 2), norms)

    def test_keyboard(self):
        self.open_one()
        self.assertEqual(self.step(), STEPS - 1)
        for keys, step in [(Keys.HOME, 0), (Keys.ARROW_RIGHT * 3, 3),
                           (Keys.ARROW_LEFT, 2), (Keys.END, STEPS - 1)]:
            self.press(keys)
            self.assertEqual(self.step(), step)
        self.press(Keys.HOME, Keys.SPACE)
        self.wait(lambda: self.step() > 5)
        self.press(Keys.SPACE)
        stopped = self.step()
        time.sleep(0.2)
        self.assertEqual(self.step(), stopped)
        heat = self.charts('heat')[0]
        self.press(Keys.HOME)
        self.js('arguments[0].focus({focusVisible: true})', heat)
        self.press(Keys.ARROW_DOWN)
        self.assertEqual(self.browser.find_element(
            By.ID, 'tensor').get_attribute('value'), 'fc2.weight')
        self.press(Keys.ARROW_RIGHT)
        norm = runs.step_line(1, STEPS, 8, 0.8, None)['layers']['grad'][1]
        self.assertEqual(self.tip().split(), ['fc2', 'step', '1',
                                              '%.4g' % norm])
        self.press(Keys.ESCAPE)
        self.assertEqual(self.tip(), '')

    def test_hover_and_click(self):
        self.open_one()
        for kind in CHARTS:
            if kind not in ('graph', 'softmax'):
                chart = self.charts(kind)[0]
                ActionChains(self.browser).move_to_element_with_offset(
                    chart, 60, -20).perform()
                self.assertNotEqual(self.tip(), '', kind)
        heat = self.charts('heat')[0]
        ActionChains(self.browser).move_to_element(heat).click().perform()
        self.assertLess(abs(self.step() - STEPS / 2), 30)
        self.assertIn('step %d' % self.step(), self.tip())

    def test_two_runs_side_by_side(self):
        self.open_two()
        for kind in 'heat', 'update', 'graph', 'histogram', 'softmax':
            a, b = self.charts(kind)
            self.assertEqual(a.location['y'], b.location['y'])
            self.assertGreater(b.location['x'], a.location['x'] + 300)
        self.assertEqual(len(self.charts('loss')), 1)
        self.browser.find_elements(By.CSS_SELECTOR, '#runs input')[0].click()
        self.assertEqual(len(self.charts('heat')), 1)
        self.assertIn('exploding', self.charts('heat')[0].get_attribute(
            'aria-label'))
        self.browser.find_elements(By.CSS_SELECTOR, '#runs input')[1].click()
        self.assertEqual(self.charts('heat'), [])

    def test_what_is_not_finite_is_marked(self):
        self.open_two()
        self.press(Keys.END)
        chart = self.charts('heat')[1]
        ActionChains(self.browser).move_to_element_with_offset(
            chart, chart.size['width'] // 2 - 30, 0).perform()
        self.assertIn('not finite', self.tip())

    def test_what_is_measured_now_and_then(self):
        self.open_one(apart=25)
        histogram = self.charts('histogram')[0]
        for step, seen in (0, 0), (24, 0), (25, 25), (60, 50):
            self.js('const s = document.getElementById("slider");'
                    's.value = %d; s.dispatchEvent(new Event("input"))' % step)
            self.assertIn('256 entries, step %d' % seen, self.js(
                'return arguments[0].parentNode.innerText', histogram))
        for kind in 'histogram', 'activations', 'noise':
            self.assertGreater(self.js(COLOURS, self.charts(kind)[0]), 12)

    def test_rows_sample_and_log_axis(self):
        self.open_one()
        heat = self.charts('heat')[0].size['height']
        self.js('const s = document.getElementById("rows");'
                's.value = "tensors"; s.dispatchEvent(new Event("change"))')
        self.assertGreater(self.charts('heat')[0].size['height'], heat)
        before = self.js(SHOWN, self.charts('softmax')[0])
        self.js('const s = document.getElementById("sample");'
                's.value = 2; s.dispatchEvent(new Event("change"))')
        self.assertNotEqual(self.js(SHOWN, self.charts('softmax')[0]), before)
        before = self.js(SHOWN, self.charts('loss')[0])
        self.browser.find_element(By.ID, 'log-loss').click()
        self.assertNotEqual(self.js(SHOWN, self.charts('loss')[0]), before)

    def test_light_and_dark(self):
        page = self.page('one', {'title': 'one'})

        def ground():
            return self.js('return getComputedStyle(document.body)'
                           '.backgroundColor.match(/[0-9]+/)[0] < 128')
        for theme in 'light', 'dark':
            self.open(page, theme=theme)
            self.assertEqual(ground(), theme == 'dark')
            before = self.js(SHOWN, self.charts('loss')[0])
            self.browser.find_element(By.ID, 'theme').click()
            self.assertEqual(ground(), theme != 'dark')
            self.assertNotEqual(self.js(SHOWN, self.charts('loss')[0]),
                                before)

    def test_hostile_names(self):
        page = self.page('hostile', {'title': runs.HOSTILE[0],
                                     'names': runs.HOSTILE},
                         {'title': runs.HOSTILE[4], 'names': runs.HOSTILE})
        for width, height in (1280, 800), (390, 844):
            self.open(page, width, height)
            for kind in CHARTS:
                self.assertTrue(self.charts(kind), kind)
            self.fits()
            self.assertEqual(self.js(
                'return [document.scripts.length,'
                ' document.querySelectorAll("img").length]'), [2, 0])
            titles = self.js('return [...document.querySelectorAll('
                             '"#runs .cut")].map(e => e.title)')
            self.assertEqual(titles, [runs.HOSTILE[0], runs.HOSTILE[4]])
            names = self.js('return [...document.querySelectorAll('
                            '"#tensor option")].map(o => o.value)')
            for name in runs.HOSTILE:
                self.assertIn(name + '.weight', names)

    def test_a_long_title_leaves_the_buttons(self):
        for width, height in (1280, 800), (390, 844):
            self.open(self.page('long', {'title': runs.HOSTILE[4]}),
                      width, height)
            button = self.browser.find_element(By.ID, 'theme').rect
            self.assertLess(button['x'] + button['width'], width)
            title = self.browser.find_element(By.CSS_SELECTOR, 'h1 small')
            self.assertEqual(title.get_attribute('title'), runs.HOSTILE[4])
            self.assertGreater(title.size['width'], 100)

    def test_a_real_run(self):
        log, page = self.path('real.jsonl'), self.path('real.html')
        subprocess.run([os.path.join(BUILD, 'examples/03_train_mlp'),
                        '--epochs', '20', '--log', log, '--report', page],
                       check=True, stdout=subprocess.DEVNULL)
        with open(log) as f:
            lines = [json.loads(line) for line in f]
        first = next(x for x in lines if x['type'] == 'step')
        opened = next(x for x in lines if x['type'] == 'detail')['loss']
        self.open(page)
        for kind in CHARTS:
            for chart in self.charts(kind):
                self.press(Keys.END)
                last = self.js(SHOWN, chart)
                self.press(Keys.HOME)
                self.assertNotEqual(self.js(SHOWN, chart), last, kind)
        loss = self.charts('loss')[0]
        self.assertIn('%.4g' % first['loss'], self.js(
            'return arguments[0].parentNode.querySelector(".legend")'
            '.innerText', loss))
        norms = [t.text.replace('\u2212', '-') for t in
                 self.charts('graph')[0].find_elements(By.CLASS_NAME, 'norm')]
        for g in first['grad']:
            self.assertTrue(any(math.isclose(float(n), g, rel_tol=0.01)
                                for n in norms), g)
        rows = self.charts('softmax')[0].find_elements(
            By.CSS_SELECTOR, 'tbody tr')
        for c, row in enumerate(rows):
            last = row.find_elements(By.TAG_NAME, 'td')[-1].text
            self.assertAlmostEqual(float(last.replace('\u2212', '-')),
                                   opened['residual'][0][c], delta=1e-3)

    def test_a_run_that_was_killed_at_once(self):
        log = self.path('killed.jsonl')
        runs.write(log, 'killed', steps=0)
        page = self.path('killed.html')
        subprocess.run([os.path.join(BUILD, 'tests/browser/report'), page,
                        log], check=True)
        self.open(page)
        self.press(Keys.ARROW_RIGHT, Keys.END, Keys.SPACE)
        self.assertIn('Nothing is recorded', self.js(
            'return document.body.innerText'))

    def test_opens_fast(self):
        page = self.page('large', {'title': 'large', 'steps': 2000,
                                   'depth': 20, 'details': 50})
        times = []
        for _ in range(3):
            start = time.time()
            self.open(page)
            self.charts('heat')
            times.append(time.time() - start)
        start = time.time()
        for _ in range(20):
            self.press(Keys.ARROW_LEFT)
        print('2,000 steps x 40 tensors: %.1f MB open in %.2f s; a step takes '
              '%.0f ms' % (os.path.getsize(page) / 1e6, sorted(times)[1],
                           50 * (time.time() - start)))
        self.assertLess(max(times), SLOW)

    def test_screenshots(self):
        folder = os.path.join(BUILD, 'screenshots')
        os.makedirs(folder, exist_ok=True)
        pages = {'one': self.page('one', {'title': 'sigmoid, Xavier'}),
                 'two': self.page(
                     'two', {'title': 'sigmoid, naive', 'shrink': 0.1},
                     {'title': 'relu, rate too large', 'burst': 200})}
        for name, page in pages.items():
            for width, height in (1280, 800), (390, 844):
                for theme in 'light', 'dark':
                    self.open(page, width, height, theme)
                    self.fits()
                    self.shoot(os.path.join(folder, '%s-%d-%s' % (
                        name, width, theme)), width, height)

    def shoot(self, path, width, height):
        """The first screen, and the whole page."""
        def shot(suffix):
            data = self.browser.execute_cdp_cmd('Page.captureScreenshot', {})
            with open(path + suffix, 'wb') as file:
                file.write(base64.b64decode(data['data']))
        for kind in CHARTS:
            self.charts(kind)
        self.js('scrollTo(0, 0); const s = document.getElementById("slider");'
                's.value = 190; s.dispatchEvent(new Event("input"))')
        self.charts('loss')
        self.js('scrollTo(0, 0)')
        shot('.png')
        whole = self.js('return document.documentElement.scrollHeight')
        self.browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', {
            'width': width, 'height': whole, 'deviceScaleFactor': 1,
            'mobile': width < 500})
        time.sleep(0.3)
        shot('-whole.png')


if __name__ == '__main__':
    unittest.main(verbosity=1)
