"""runs.py: logs of runs that no machine trained, written by formula, so that
the browser test knows every figure the page must show.

The schema is the recorder's. A run of depth d has layers fc1 to fcd of a
weight and a bias; the gradient of layer i (from the loss: 0) is shrink^i at
each step, but where it is told to be otherwise; the edge that is drawn to a
node carries half of its gradient, as if there were another."""
import json
import math

CLASSES = 5
HOSTILE = ['</script><script>alert(1)</script>', '"quoted" \\ \'name\'',
           '<img src=x onerror=alert(2)>&amp;', 'Ωμέγα 梯度 🌊\u2028\n',
           'long.' + 'x' * 295]


def parameters(depth, names):
    for i in range(depth):
        name = names[i] if i < len(names) else 'fc%d' % (i + 1)
        for part, shape in ('weight', [16, 16]), ('bias', [16]):
            yield {'name': name + '.' + part, 'shape': shape, 'layer': name}


def graph(depth, names):
    """A chain of linear and sigmoid, and the loss; parameters first."""
    nodes, own = [], list(parameters(depth, names))
    for i, p in enumerate(own):
        nodes.append({'name': p['name'], 'op': None, 'shape': p['shape'],
                      'inputs': [], 'parameter': i})
    last = -1
    for i in range(depth):
        nodes.append({'name': own[2 * i]['layer'], 'op': 'linear',
                      'shape': [32, 16], 'parameter': None,
                      'inputs': [last, 2 * i, 2 * i + 1]})
        nodes.append({'name': 'sigmoid.%d' % len(nodes), 'op': 'sigmoid',
                      'shape': [32, 16], 'inputs': [len(nodes) - 1],
                      'parameter': None})
        last = len(nodes) - 1
    nodes.append({'name': 'cross_entropy.%d' % len(nodes), 'shape': [],
                  'op': 'cross_entropy', 'inputs': [last, -1],
                  'parameter': None})
    return nodes


def softmax(logits):
    e = [math.exp(z) for z in logits]
    return [v / sum(e) for v in e]


def opened(step, steps):
    """Row r: class 1 is the target; its logit grows from -3 to 3 + r."""
    logits = [[(6 + r) * step / steps - 3 if c == 1 else 0.1 * c
               for c in range(CLASSES)] for r in range(3)]
    probs = [softmax(row) for row in logits]
    return {'node': 0, 'logits': logits, 'probs': probs, 'target': [1] * 3,
            'residual': [[p - (c == 1) for c, p in enumerate(row)]
                         for row in probs],
            'losses': [-math.log(row[1]) for row in probs]}


def regions(step, steps, side=48):
    """Slices of a disc that turns; its points stand at their middles."""
    def of(i, j):
        turn = math.atan2(side / 2 - j, i - side / 2) / (2 * math.pi)
        return int(CLASSES * (turn + 1 + 0.5 * step / steps)) % CLASSES
    return {'type': 'regions', 'step': step, 'low': [-2, -2], 'high': [2, 2],
            'width': side, 'height': side, 'classes': ''.join(
                str(of(i, j)) for j in range(side) for i in range(side))}


def step_line(step, steps, depth, shrink, burst):
    swing = 1 + 0.5 * math.sin(step / 7)
    grad = [swing * shrink ** (depth - 1 - i // 2) for i in range(2 * depth)]
    layer = [math.sqrt(2) * g for g in grad[::2]]
    loss = 1.6 * math.exp(-3 * step / steps) + 0.1 * swing
    gone = burst is not None and step >= burst
    if burst is not None and not gone:
        grow = 10 ** max(0, 4 - (burst - step) / 4)
        grad, layer = [g * grow for g in grad], [g * grow for g in layer]
        loss *= math.sqrt(grow)
    low = -12 - step * 8 // steps
    histogram = {'zero': 3, 'nonfinite': 0, 'low': low,
                 'counts': [1, 4, 9, 30, 80, 90, 31, 7, 1]}
    if gone:
        grad, layer, loss = [None] * 2 * depth, [None] * depth, None
        histogram = {'zero': 0, 'nonfinite': 256, 'low': 0, 'counts': []}
    update = [g and 1e-3 * g for g in grad]
    return {'type': 'step', 'step': step, 'time': step * 1e-4, 'loss': loss,
            'lr': 0.01, 'weight': [4.0] * 2 * depth, 'grad': grad,
            'update': update, 'histogram': [histogram] * 2 * depth,
            'layers': {'weight': [4.0] * depth, 'grad': layer,
                       'update': update[::2]},
            'activations': [
                {'name': 'sigmoid.%d' % i, 'op': 'sigmoid',
                 'saturated': (i + 1) / depth * 0.4 * swing}
                for i in range(depth)],
            'noise': None if gone else 20 * swing * (1 + step / steps)}


def write(path, title, steps=300, depth=8, shrink=0.8, burst=None, names=(),
          details=25, apart=1):
    nodes = graph(depth, names)
    points = [[1.2 * math.cos(2 * math.pi * (k % CLASSES + 0.5) / CLASSES) +
               0.3 * math.cos(k), 1.2 * math.sin(2 * math.pi * (
                   k % CLASSES + 0.5) / CLASSES) + 0.3 * math.sin(k)]
              for k in range(100)]
    with open(path, 'w', encoding='utf-8') as file:
        def put(**line):
            json.dump(line, file, ensure_ascii=False)
            file.write('\n')
        put(type='run', rill=1, title=title, started='2026-11-23T11:00:00Z',
            dtype='float32', every=1, details=details, sampled=4096,
            parameters=list(parameters(depth, names)))
        put(type='graph', nodes=nodes)
        put(type='points', x=points, labels=[k % CLASSES for k in range(100)])
        for step in range(steps):
            line = step_line(step, steps, depth, shrink, burst)
            if step % apart:
                line.update(histogram=None, activations=None, noise=None)
            put(**line)
            if step % details == 0 or step == steps - 1:
                grad, layer = line['grad'], line['layers']['grad']
                grad = grad + [layer[i // 2] for i in range(2 * depth)] + [1.0]
                put(type='detail', step=step, gradient=grad,
                    edges=[[grad[k] / 2 if k >= 0 and grad[k] else None
                            for k in node['inputs']] for node in nodes],
                    loss=opened(step, steps))
                put(**regions(step, steps))
                put(type='value', step=step, name='validation accuracy',
                    value=0.98 * (1 - math.exp(-4 * step / steps)))
                put(type='value', step=step, name='validation loss',
                    value=1.7 * math.exp(-3 * step / steps) + 0.15)
            if step == steps // 2:
                put(type='event', step=step, text='learning rate halved')
                for name in names:
                    put(type='event', step=step, text=name)
                    put(type='value', step=step, name=name, value=1)
        put(type='end', step=steps, time=steps * 1e-4)
