/** Prints random bytes and the UTF-8 of the string that Java decodes from them: java Utf8.java > ../java-utf8 */
import java.nio.charset.StandardCharsets;
import java.util.*;
public class Utf8 { public static void main(String[] a) {
  byte[] pool = {(byte)0x2f,(byte)0x41,(byte)0x80,(byte)0xa0,(byte)0x8f,(byte)0x90,(byte)0xbf,(byte)0xc0,(byte)0xc1,(byte)0xc2,(byte)0xdf,(byte)0xe0,(byte)0xe1,(byte)0xed,(byte)0xef,(byte)0xf0,(byte)0xf1,(byte)0xf4,(byte)0xf5,(byte)0xff,(byte)0x9f};
  Random r = new Random(5);
  HexFormat h = HexFormat.of();
  for (int i=0;i<400;i++){ byte[] b=new byte[1+r.nextInt(7)]; for(int j=0;j<b.length;j++) b[j]=pool[r.nextInt(pool.length)];
    String s=new String(b,StandardCharsets.UTF_8); boolean sup=false; for(int j=0;j<s.length();j++) if(Character.isSurrogate(s.charAt(j))) sup=true; if (sup) continue;
    System.out.println(h.formatHex(b)+" "+h.formatHex(s.getBytes(StandardCharsets.UTF_8))); } } }
