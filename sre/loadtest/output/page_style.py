"""How does the report look? (light and dark, from 320 px up, without anything from the network)"""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root{color-scheme:light dark;--paper:#f6f7f9;--card:#fff;--ink:#1b1f27;--dim:#5b6472;
--line:#dfe3ea;--grid:#e9ecf1;--good:#00794f;--bad:#b3261e;--warn:#8a5a00;--stop:#5b4b8a;
--good-wash:#e6f4ee;--bad-wash:#fbeae9;--warn-wash:#fdf3df;--stop-wash:#efecf8;
--blue:#0072b2;--sky:#2f8fca;--green:#008f68;--orange:#b87a00;--red:#d55e00;--pink:#b85c8f;
--grey:#76808f}
@media(prefers-color-scheme:dark){:root{--paper:#12151a;--card:#1b1f26;--ink:#e8ebf0;--dim:#a2abb8;
--line:#303642;--grid:#282d37;--good:#4cc38a;--bad:#ff8a80;--warn:#f0b64d;--stop:#b9a8f0;
--good-wash:#16291f;--bad-wash:#331b1a;--warn-wash:#30260f;--stop-wash:#231f36;
--blue:#4aa8e0;--sky:#8ccdf2;--green:#35c79b;--orange:#f0b232;--red:#ff8140;--pink:#e0a0c4;
--grey:#8a93a1}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,
"Segoe UI",Roboto,"Noto Sans",sans-serif;overflow-wrap:anywhere}
main{max-width:1180px;margin:0 auto;padding:28px 20px 48px}
h1,h2,p,ul,dl,dd,figure{margin:0;padding:0}
h2{font-size:17px;margin:36px 0 12px;letter-spacing:-.005em}
.eyebrow{color:var(--dim);font-size:13px;margin-bottom:10px}
.eyebrow b{color:var(--ink);font-weight:600}
.verdict{background:var(--wash);border:1px solid var(--line);border-left:6px solid var(--tone);
border-radius:10px;padding:18px 22px}
.verdict h1{font-size:25px;line-height:1.25;color:var(--tone);letter-spacing:-.015em}
.verdict p{margin-top:6px;font-size:16px}
.verdict ul{margin:10px 0 0 18px}.verdict li{margin:3px 0}
.passed{--tone:var(--good);--wash:var(--good-wash)}.failed{--tone:var(--bad);--wash:var(--bad-wash)}
.invalid{--tone:var(--warn);--wash:var(--warn-wash)}
.aborted{--tone:var(--stop);--wash:var(--stop-wash)}
.running{--tone:var(--blue);--wash:var(--card)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;
margin-top:14px}
.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 16px}
.tile dt{color:var(--dim);font-size:13px}
.tile dd{font-size:22px;font-weight:600;letter-spacing:-.015em;line-height:1.3;
font-variant-numeric:tabular-nums}
.tile small{display:block;color:var(--dim);font-size:12.5px}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;overflow:hidden}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:8px 14px;text-align:left;border-top:1px solid var(--line);vertical-align:top}
thead th{border-top:0;color:var(--dim);font-weight:500;font-size:13px;vertical-align:bottom}
tbody th{font-weight:500}
.n{text-align:right;white-space:nowrap}
code{font:13.5px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.state{font-weight:600;white-space:nowrap}
.kept{color:var(--good)}.broken{color:var(--bad)}.unknown{color:var(--warn)}
.note{color:var(--dim);font-size:13px;margin-top:8px;max-width:80ch}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,430px),1fr));gap:14px}
figure{background:var(--card);border:1px solid var(--line);border-radius:10px;min-width:0;
padding:14px 16px 10px}
figcaption{font-weight:600}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:2px 14px;color:var(--dim);font-size:13px;
margin:2px 0 6px}
.legend li{display:flex;align-items:center;gap:6px}
.key{width:22px;height:10px;flex:none}
figure>svg{display:block;width:100%;height:auto}
svg text{fill:var(--dim);font-size:11.5px;font-family:inherit;font-variant-numeric:tabular-nums}
.grid{stroke:var(--grid)}.axis{stroke:var(--dim)}
.line{fill:none;stroke-linejoin:round;stroke-linecap:butt}
.hint{fill:transparent}.hint:hover{fill:var(--ink);fill-opacity:.06}
b,code,h1,li,p,th,td>span{unicode-bidi:isolate}
.bar{display:block;height:4px;margin:3px 0 0 auto;border-radius:2px;background:var(--red);
min-width:3px}td.n .bar{max-width:100%}
.charts+.charts,section>details{margin-top:14px}
summary{cursor:pointer;color:var(--dim);font-size:14px;padding:6px 2px;border-radius:4px}
summary:focus-visible{outline:2px solid var(--blue);outline-offset:2px}
details[open]>summary{margin-bottom:8px}
.lost{color:var(--warn);text-align:center;padding:0 20px 24px}
footer{margin-top:36px;padding-top:14px;border-top:1px solid var(--line);color:var(--dim);
font-size:13px}
@media(max-width:700px){main{padding:16px 12px 32px}.verdict{padding:14px 16px}
.verdict h1{font-size:21px}.tile dd{font-size:19px}.tiles{grid-template-columns:1fr 1fr}
.tile:last-child:nth-child(odd){grid-column:1/-1}svg text{font-size:13.5px}
thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
table,tbody,th{display:block}
tr{border-top:1px solid var(--line);padding:9px 14px;display:grid;grid-template-columns:1fr 1fr;
column-gap:16px}tbody tr:first-child{border-top:0}
th,td{border:0;padding:2px 0;grid-column:1/-1;min-width:0}tbody th{font-weight:600}
td{display:flex;justify-content:space-between;gap:6px;text-align:right}td.n{grid-column:auto}
td.n{white-space:normal}td.none{display:none}
td::before{content:attr(data-label);color:var(--dim);font-size:13px;text-align:left;flex:none}
td.wide{display:block;text-align:left}td.wide::before{display:block}td.wide.none{display:none}}
@media print{:root{color-scheme:light;--paper:#fff;--card:#fff;--ink:#000;--dim:#444;
--line:#bbb;--grid:#ddd;--good:#00643f;--bad:#a01810;--warn:#704800;--stop:#4b3d78;--good-wash:#fff;
--bad-wash:#fff;--warn-wash:#fff;--stop-wash:#fff;--blue:#0072b2;--sky:#2f8fca;--green:#007d5c;
--orange:#b87a00;--red:#d55e00;--pink:#b0608c;--grey:#777}
body{background:#fff;font-size:12px}main{max-width:none;padding:0}
figure,.tile,tr,.verdict{break-inside:avoid}h2{break-after:avoid}summary{display:none}}
"""
